"""Dead letters, as the API returns them to operators."""

from pydantic import AwareDatetime, Field

from darkroom.models.record import Page, Record


class DeadLetter(Record):
    """A dead letter. Unrecorded fields are None; a list omits the last four fields."""

    id: str
    died_at: AwareDatetime
    reason: str
    task_id: str | None = None
    is_replayable: bool = False
    replayed_at: AwareDatetime | None = None
    subscription: str | None = None
    delivery_count: int | None = None
    first_published_at: AwareDatetime | None = None
    body_bytes: int = 0
    expires_at: AwareDatetime | None = None
    attributes: dict[str, str] | None = None
    body: str | None = None
    body_encoding: str | None = None
    body_is_cut: bool | None = None


class DeadLetterPage(Page[DeadLetter]):
    """A page of dead letters."""

    items: tuple[DeadLetter, ...] = Field(alias="dead_letters")


class PurgeResult(Record):
    """The result of one purge call. `more` means that older dead letters are left."""

    deleted: int
    more: bool

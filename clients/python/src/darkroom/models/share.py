"""Links that show one picture to any holder."""

from pydantic import AwareDatetime, Field

from darkroom.models.record import Record


class Share(Record):
    """A link, without its address."""

    id: str
    image_index: int
    created_at: AwareDatetime
    expires_at: AwareDatetime


class CreatedShare(Share):
    """A new link with its address, which the API returns only once."""

    url: str = Field(repr=False)


class ShareList(Record):
    """The links of a task that work, newest first."""

    shares: tuple[Share, ...]

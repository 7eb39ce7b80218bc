"""Request and response schemas for dead letters."""

import base64
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from frontend_api.dead_letters.dead_letter import LETTER_ID, DeadLetter
from frontend_api.http.schemas import (
    PageSize,
    QueryParameters,
    ResponseBody,
    Timestamp,
    a_page_token,
    fields_of,
)


class DeadLetterListQuery(QueryParameters):
    """Selects a page of dead letters."""

    page_size: PageSize = Field(default=20, description="Maximum number of dead letters per page.")
    page_token: Annotated[str, a_page_token(LETTER_ID)] | None = Field(
        default=None, description="`next_page_token` of the previous page."
    )


class DeadLetterPurgeQuery(QueryParameters):
    """Selects the dead letters to delete. There is no default that selects all."""

    older_than: Timestamp = Field(description="Delete dead letters older than this time.")


class DeadLetterResponse(ResponseBody):
    """A dead letter. Fields that were not recorded are null."""

    id: str
    died_at: datetime = Field(description="When the message was moved to the dead-letter topic.")
    reason: str
    task_id: str | None = Field(description="null if the message could not be decoded.")
    is_replayable: bool = Field(description="Whether the task is known and can be queued again.")
    replayed_at: datetime | None
    subscription: str | None = Field(description="The subscription whose delivery attempts were exhausted.")
    delivery_count: int | None
    first_published_at: datetime | None
    body_bytes: int = Field(description="The size of the whole body.")
    expires_at: datetime = Field(description="When the record may be deleted.")


class DeadLetterDetailResponse(DeadLetterResponse):
    """A dead letter with its content."""

    attributes: dict[str, str]
    body: str
    body_encoding: Literal["utf-8", "base64"] = Field(description="Encoding of `body`.")
    body_is_cut: bool = Field(description="Whether only the beginning of the body is stored.")

    @classmethod
    def of(cls, letter: DeadLetter) -> "DeadLetterDetailResponse":
        """Build the response; the body is text if it is valid UTF-8."""
        body, encoding = _readable(letter.body)
        shown = {"is_replayable": letter.is_replayable, "body": body, "body_encoding": encoding}
        return cls.model_validate({**fields_of(letter), **shown})


class DeadLetterPageResponse(ResponseBody):
    """A page of dead letters, newest first; `next_page_token` is null on the last page."""

    dead_letters: tuple[DeadLetterResponse, ...]
    next_page_token: str | None


class PurgeResponse(ResponseBody):
    """The result of one purge."""

    deleted: int
    more: bool = Field(description="Whether more may remain; if so, repeat the request.")


def _readable(body: bytes) -> tuple[str, Literal["utf-8", "base64"]]:
    try:
        return body.decode(), "utf-8"
    except UnicodeDecodeError:
        return base64.b64encode(body).decode(), "base64"

"""DeadLetter: a message that Pub/Sub or a worker gave up on, as it is kept for operators. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.domain.errors import DomainError
from common.wire_formats.dead_letter_origin import decode_dead_letter_origin, own_attributes
from common.wire_formats.task_message import TaskMessage, decode_task_message
from common.wire_formats.versions import UndecodableError

MAX_BODY_BYTES = 400_000
"""A hundred times what any accepted task needs; with its attributes a letter must fit into Firestore's 1 MiB."""

_LETTER_ID = re.compile(r"\d{8}-\d{6}-\d{3}-[A-Za-z0-9_.-]{1,128}", re.ASCII)


class DeadLetterNotFoundError(DomainError):
    """No dead letter with this id is kept."""

    code = "dead_letter_not_found"

    def __init__(self, letter_id: str) -> None:
        super().__init__(f"no dead letter {letter_id!r}; it may have been deleted, or its time was up")


class DeadLetterUndecodableError(DomainError):
    """No worker could ever read it, so sending it again would only kill it again."""

    code = "dead_letter_undecodable"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMessage:
    """A message as it lay on the dead-letter topic, with its id and time there."""

    message_id: str
    published_at: datetime
    body: bytes
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """One dead letter."""

    id: str
    """Made of when it died and of its message id: the newest sorts last."""
    died_at: datetime
    """When it was given up on, by Pub/Sub's clock."""
    reason: str
    task_id: str | None
    """None when the body could not be read."""
    subscription: str | None
    """Where it was given up on."""
    delivery_count: int | None
    first_published_at: datetime | None
    attributes: Mapping[str, str]
    """Those of the message when it was alive."""
    body: bytes
    """The first MAX_BODY_BYTES of it; nothing where letters are listed."""
    body_bytes: int
    """The size of all of it."""
    body_is_cut: bool
    expires_at: datetime
    """When the record may be deleted."""
    replayed_at: datetime | None = None

    @classmethod
    def of(cls, message: DeadMessage, *, now: datetime, keep_for: timedelta) -> "DeadLetter":
        """The same for every delivery of the same message, but for `expires_at`."""
        origin = decode_dead_letter_origin(message.attributes)
        task_id, reason = None, origin.reason
        size = max(origin.body_bytes or 0, len(message.body))
        try:
            task_id = decode_task_message(message.body).task_id
        except UndecodableError as error:
            reason = reason or error.reason
        return cls(
            id=_letter_id(message),
            died_at=message.published_at,
            reason=reason or "not acknowledged, however often it was delivered",
            task_id=task_id,
            subscription=origin.subscription,
            delivery_count=origin.delivery_count,
            first_published_at=origin.published_at,
            attributes=own_attributes(message.attributes),
            body=message.body[:MAX_BODY_BYTES],
            body_bytes=size,
            body_is_cut=size > MAX_BODY_BYTES,
            expires_at=now + keep_for,
        )

    @property
    def is_replayable(self) -> bool:
        """Whether a task can be made out that might be given another chance."""
        return self.task_id is not None and not self.body_is_cut

    def task_message(self) -> TaskMessage:
        """What it was to say, read anew: what today's code can read counts. Raises DeadLetterUndecodableError."""
        if self.body_is_cut:
            raise DeadLetterUndecodableError(
                f"its body of {self.body_bytes} bytes was too large to be kept whole"
            )
        try:
            return decode_task_message(self.body)
        except UndecodableError as error:
            raise DeadLetterUndecodableError(
                f"no worker can read it ({error.reason}); delete it, and submit the task anew if it is missed"
            ) from error


def is_letter_id(text: str) -> bool:
    """Whether a dead letter can be called so."""
    return _LETTER_ID.fullmatch(text) is not None


def _letter_id(message: DeadMessage) -> str:
    """Message ids alone will not do: an emulator that starts anew counts from one again."""
    milliseconds = message.published_at.microsecond // 1_000
    return f"{message.published_at:%Y%m%d-%H%M%S}-{milliseconds:03d}-{message.message_id}"

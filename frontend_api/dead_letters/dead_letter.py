"""DeadLetter: a message that Pub/Sub or a worker abandoned, as stored for operators. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.domain.errors import DomainError
from common.wire_formats.dead_letter_origin import decode_dead_letter_origin, own_attributes
from common.wire_formats.task_message import TaskMessage, decode_task_message
from common.wire_formats.versions import UndecodableError

MAX_BODY_BYTES = 400_000
"""A hundred times what any accepted task needs.

With its attributes, a letter must fit into Firestore's limit of 1 MiB.
"""

LETTER_ID = r"[0-9]{8}-[0-9]{6}-[0-9]{3}-[A-Za-z0-9_.-]{1,128}"


class DeadLetterNotFoundError(DomainError):
    code = "dead_letter_not_found"

    def __init__(self, letter_id: str) -> None:
        super().__init__(
            f"dead letter {letter_id!r} does not exist; it may have been deleted or have expired"
        )


class DeadLetterUndecodableError(DomainError):
    """No worker can decode the message, so sending it again would fail again."""

    code = "dead_letter_undecodable"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadMessage:
    """A message on the dead-letter topic, with its id and publish time there."""

    message_id: str
    published_at: datetime
    body: bytes
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    id: str
    """Built from `died_at` and the message id, so that the newest sorts last."""
    died_at: datetime
    """When the message was abandoned, by Pub/Sub's clock."""
    reason: str
    task_id: str | None
    """None if the body could not be decoded."""
    subscription: str | None
    """The subscription on which the message was abandoned."""
    delivery_count: int | None
    first_published_at: datetime | None
    attributes: Mapping[str, str]
    """The original message's attributes."""
    body: bytes
    """The first MAX_BODY_BYTES of the body; empty in lists."""
    body_bytes: int
    """Size of the whole body."""
    body_is_cut: bool
    expires_at: datetime
    """When the record may be deleted."""
    replayed_at: datetime | None = None

    @classmethod
    def of(cls, message: DeadMessage, *, now: datetime, keep_for: timedelta) -> "DeadLetter":
        """Build the letter of a message: the same for every delivery, except for `expires_at`."""
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
            reason=reason or "not acknowledged within the maximum number of deliveries",
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
        """Whether the task is known and the body complete, so that the task can be retried."""
        return self.task_id is not None and not self.body_is_cut

    def task_message(self) -> TaskMessage:
        """Decode the body with the current code. Raises DeadLetterUndecodableError."""
        if self.body_is_cut:
            raise DeadLetterUndecodableError(
                f"its body of {self.body_bytes} bytes was too large to be stored completely"
            )
        try:
            return decode_task_message(self.body)
        except UndecodableError as error:
            raise DeadLetterUndecodableError(
                f"no worker can decode it ({error.reason}); delete it, and submit the task again if it is still needed"
            ) from error


def is_letter_id(text: str) -> bool:
    return re.fullmatch(LETTER_ID, text) is not None


def _letter_id(message: DeadMessage) -> str:
    """Build an id that starts with the time: a restarted emulator numbers messages from 1 again."""
    milliseconds = message.published_at.microsecond // 1_000
    return f"{message.published_at:%Y%m%d-%H%M%S}-{milliseconds:03d}-{message.message_id}"

"""The origin of a message on the dead-letter topic, in its attributes.

The worker writes `dead_letter_…`; Pub/Sub, when it forwards a message itself, writes
`CloudPubSubDeadLetter…`. The message's own attributes are kept.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

_MAX_REASON_CHARACTERS = 1_000
_OURS = "dead_letter_"
_GOOGLES = "CloudPubSubDeadLetterSource"
_COUNT = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterOrigin:
    """The origin of a dead letter. Unrecorded fields are None."""

    reason: str | None = None
    """The worker's reason; None if Pub/Sub forwarded the message."""
    subscription: str | None = None
    message_id: str | None = None
    delivery_count: int | None = None
    published_at: datetime | None = None
    """When the message was first published."""
    body_bytes: int | None = None
    """The size of the body before it was truncated."""


def encode_dead_letter_origin(origin: DeadLetterOrigin) -> dict[str, str]:
    """Return the attributes that a worker adds."""
    fields = {
        "reason": None if origin.reason is None else origin.reason[:_MAX_REASON_CHARACTERS],
        "subscription": origin.subscription,
        "message_id": origin.message_id,
        "delivery_count": origin.delivery_count,
        "published_at": None if origin.published_at is None else origin.published_at.isoformat(),
        "body_bytes": origin.body_bytes,
    }
    return {f"{_OURS}{name}": str(value) for name, value in fields.items() if value is not None}


def decode_dead_letter_origin(attributes: Mapping[str, str]) -> DeadLetterOrigin:
    """Read the attributes of either writer. Unreadable values count as unrecorded."""
    ours = {name.removeprefix(_OURS): text for name, text in attributes.items() if name.startswith(_OURS)}
    return DeadLetterOrigin(
        reason=ours.get("reason"),
        subscription=ours.get("subscription") or attributes.get(f"{_GOOGLES}Subscription"),
        message_id=ours.get("message_id"),
        delivery_count=_count(ours.get("delivery_count") or attributes.get(f"{_GOOGLES}DeliveryCount")),
        published_at=_moment(ours.get("published_at") or attributes.get(f"{_GOOGLES}TopicPublishTime")),
        body_bytes=_count(ours.get("body_bytes")),
    )


def own_attributes(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes of the original message."""
    return {name: text for name, text in attributes.items() if not name.startswith((_OURS, _GOOGLES))}


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and _COUNT.fullmatch(text) else None


def _moment(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return None if moment.tzinfo is None else moment

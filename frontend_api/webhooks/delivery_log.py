"""WebhookLog: the deliveries of a task's events. Pure; each change returns a new log."""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from common.domain.errors import DomainError
from common.wire_formats.task_event import TaskEvent

MAX_DELIVERIES_KEPT = 50
"""The latest deliveries per task: a long task may have any number of events."""
MAX_TRIES_KEPT = 100
"""The latest tries per delivery: at the longest backoff, a day has 150."""
MAX_TRIES_IN_ALL = 1_000
"""Of all deliveries of a task together: a document may have 1 MiB."""
RETRIED_FOR = timedelta(days=1)
"""How long after a delivery's first try, or its replay, failed tries are repeated."""
LONGEST_BACKOFF = timedelta(minutes=10)
"""Between two pushes of an event, as `terraform/pubsub.tf` configures."""
GONE = 410
_ERROR_CHARACTERS = 200


class DeliveryNotFoundError(DomainError):
    code = "webhook_delivery_not_found"

    def __init__(self, number: int) -> None:
        super().__init__(f"this task has no webhook delivery {number}")


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    """Pub/Sub will retry it."""
    DELIVERED = "delivered"
    ABANDONED = "abandoned"
    """It failed for a day, or no try can succeed. It is sent again only by a replay."""
    STOPPED = "stopped"
    """The receiver returned 410: no further events of this task are sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one try: a status, or the error if there was no response."""

    status: int | None = None
    error: str | None = None
    duration_seconds: float = 0.0
    is_final: bool = False
    """darkroom refuses the callback, so a later try would not succeed either."""

    @property
    def is_success(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def kind(self) -> str:
        """The metric label: `delivered`, `refused` (another status) or `failed` (no response)."""
        if self.is_success:
            return "delivered"
        return "failed" if self.status is None else "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTry:
    """One request to the receiver; `at` is its start time."""

    at: datetime
    status: int | None
    error: str | None
    duration_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """One event for one URL."""

    number: int
    """Starts at 1, in the order of the first tries."""
    event_id: str
    type: str
    timestamp: datetime
    url: str
    tries_made: int = 0
    tries: tuple[WebhookTry, ...] = ()
    """The latest tries, oldest first, at most MAX_TRIES_KEPT; fewer in a log of many deliveries."""
    delivered_at: datetime | None = None
    retried_until: datetime | None = None
    """A failed try at or after this time is the last one; None while there is no message."""
    abandoned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookLog:
    task_id: str
    deliveries: tuple[WebhookDelivery, ...] = ()
    """The latest deliveries, at most MAX_DELIVERIES_KEPT."""
    stopped_at: datetime | None = None
    expires_at: datetime | None = None
    """When it may be deleted; None while nothing is stored."""
    revision: str | None = field(default=None, compare=False)
    """The stored state that this was read from. Opaque to all but WebhookLogs."""

    def numbered(self, number: int) -> WebhookDelivery:
        """Return the delivery with this number. Raises DeliveryNotFoundError."""
        for delivery in self.deliveries:
            if delivery.number == number:
                return delivery
        raise DeliveryNotFoundError(number)

    def state_of(self, delivery: WebhookDelivery) -> DeliveryState:
        if delivery.delivered_at is not None:
            return DeliveryState.DELIVERED
        if self.stopped_at is not None:
            return DeliveryState.STOPPED
        return DeliveryState.ABANDONED if delivery.abandoned else DeliveryState.PENDING

    def wants(self, event_id: str) -> bool:
        """Return whether the event still has to be sent."""
        sent = [one for one in self.deliveries if one.event_id == event_id]
        is_over = any(one.delivered_at is not None or one.abandoned for one in sent)
        return self.stopped_at is None and not is_over

    def tried(
        self, event: TaskEvent, *, url: str, at: datetime, outcome: Outcome, expires_at: datetime
    ) -> "WebhookLog":
        """Return the log with one more try, which started `at`."""
        before = self._delivery_of(event, url)
        made = WebhookTry(
            at=at,
            status=outcome.status,
            error=None if outcome.error is None else outcome.error[:_ERROR_CHARACTERS],
            duration_seconds=round(outcome.duration_seconds, 3),
        )
        retried_until = before.retried_until or at + RETRIED_FOR
        after = replace(
            before,
            retried_until=retried_until,
            abandoned=not outcome.is_success and (outcome.is_final or at >= retried_until),
            tries_made=before.tries_made + 1,
            tries=(*before.tries, made),
            # Of two concurrent tries, the failed one may be recorded after the successful one.
            delivered_at=at if outcome.is_success else before.delivered_at,
        )
        return replace(
            self._with(after),
            stopped_at=at if outcome.status == GONE else self.stopped_at,
            expires_at=expires_at,
        )

    def has_message(self, number: int, *, now: datetime) -> bool:
        """Return whether Pub/Sub has a message for this delivery, which it will push again.

        Without a try for much longer than Pub/Sub waits, the message counts as lost: its process may have
        ended before publishing it, or the subscription was purged.
        """
        delivery = self.numbered(number)
        if self.state_of(delivery) is not DeliveryState.PENDING or delivery.retried_until is None:
            return False
        latest = max([delivery.retried_until - RETRIED_FOR, *(one.at for one in delivery.tries[-1:])])
        return now < latest + 2 * LONGEST_BACKOFF

    def reopened(self, number: int, *, at: datetime) -> "WebhookLog":
        """Return the log with a delivery reopened for sending, also after a 410 or a day of failures."""
        pending = replace(
            self.numbered(number), delivered_at=None, retried_until=at + RETRIED_FOR, abandoned=False
        )
        return replace(self._with(pending), stopped_at=None)

    def without_message(self, number: int) -> "WebhookLog":
        """Return the log with a delivery whose message could not be published."""
        return self._with(replace(self.numbered(number), retried_until=None))

    def _delivery_of(self, event: TaskEvent, url: str) -> WebhookDelivery:
        for delivery in self.deliveries:
            if delivery.event_id == event.id:
                return delivery
        return WebhookDelivery(
            number=self.deliveries[-1].number + 1 if self.deliveries else 1,
            event_id=event.id,
            type=event.type,
            timestamp=event.timestamp,
            url=url,
        )

    def _with(self, delivery: WebhookDelivery) -> "WebhookLog":
        others = {one.number: one for one in self.deliveries}
        changed = tuple((others | {delivery.number: delivery}).values())[-MAX_DELIVERIES_KEPT:]
        most = min(MAX_TRIES_KEPT, MAX_TRIES_IN_ALL // len(changed))
        return replace(self, deliveries=tuple(replace(one, tries=one.tries[-most:]) for one in changed))

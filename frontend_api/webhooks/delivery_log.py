"""WebhookLog: what was sent of a task's events, try by try. Pure; each change returns a new log."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from common.domain.errors import DomainError
from common.wire_formats.task_event import TaskEvent

MAX_DELIVERIES_KEPT = 50
"""Of one task, the latest: a long one may have any number of events."""
MAX_TRIES_KEPT = 100
"""Of one delivery, the latest. Pub/Sub tries for a week, at the longest pause 1,000 times."""
GONE = 410
_ERROR_CHARACTERS = 200


class DeliveryNotFoundError(DomainError):
    """The task has no webhook delivery of this number."""

    code = "webhook_delivery_not_found"

    def __init__(self, number: int) -> None:
        super().__init__(f"there is no webhook delivery {number} of this task")


class DeliveryState(StrEnum):
    """How a delivery stands."""

    PENDING = "pending"
    """It will be tried again."""
    DELIVERED = "delivered"
    STOPPED = "stopped"
    """The receiver said 410: nothing of this task is sent any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How one try went: a status, or the reason why there is none."""

    status: int | None = None
    error: str | None = None
    duration_seconds: float = 0.0

    @property
    def is_success(self) -> bool:
        """Only 2xx is."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def kind(self) -> str:
        """`delivered`, `refused` by an answer, or `failed` without one: what tries are counted by."""
        if self.is_success:
            return "delivered"
        return "failed" if self.status is None else "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTry:
    """One try, and when it began."""

    at: datetime
    status: int | None
    error: str | None
    duration_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """One event on its way to one URL."""

    number: int
    """From 1, in the order in which the task's events were first tried."""
    event_id: str
    type: str
    timestamp: datetime
    url: str
    tries_made: int = 0
    tries: tuple[WebhookTry, ...] = ()
    """The latest, oldest first, at most MAX_TRIES_KEPT."""
    delivered_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookLog:
    """All deliveries of one task."""

    task_id: str
    deliveries: tuple[WebhookDelivery, ...] = ()
    """The latest, at most MAX_DELIVERIES_KEPT."""
    stopped_at: datetime | None = None
    expires_at: datetime | None = None
    """When it may be deleted; None while nothing is stored."""
    revision: str | None = field(default=None, compare=False)
    """Which stored state this was read from; opaque to everybody but the WebhookLogs."""

    def numbered(self, number: int) -> WebhookDelivery:
        """The delivery; raises DeliveryNotFoundError."""
        for delivery in self.deliveries:
            if delivery.number == number:
                return delivery
        raise DeliveryNotFoundError(number)

    def state_of(self, delivery: WebhookDelivery) -> DeliveryState:
        """How it stands."""
        if delivery.delivered_at is not None:
            return DeliveryState.DELIVERED
        return DeliveryState.PENDING if self.stopped_at is None else DeliveryState.STOPPED

    def wants(self, event_id: str) -> bool:
        """Whether an event is still to be sent."""
        delivered = any(one.event_id == event_id and one.delivered_at is not None for one in self.deliveries)
        return self.stopped_at is None and not delivered

    def tried(
        self, event: TaskEvent, *, url: str, at: datetime, outcome: Outcome, expires_at: datetime
    ) -> "WebhookLog":
        """The same with one more try of an event, that began `at`."""
        before = self._delivery_of(event, url)
        made = WebhookTry(
            at=at,
            status=outcome.status,
            error=None if outcome.error is None else outcome.error[:_ERROR_CHARACTERS],
            duration_seconds=round(outcome.duration_seconds, 3),
        )
        after = replace(
            before,
            tries_made=before.tries_made + 1,
            tries=(*before.tries, made)[-MAX_TRIES_KEPT:],
            # Of two tries at once one may have failed after the other succeeded.
            delivered_at=at if outcome.is_success else before.delivered_at,
        )
        return replace(
            self._with(after),
            stopped_at=at if outcome.status == GONE else self.stopped_at,
            expires_at=expires_at,
        )

    def reopened(self, number: int) -> "WebhookLog":
        """The same with a delivery that is to be sent once more, even if the receiver had enough."""
        return replace(self._with(replace(self.numbered(number), delivered_at=None)), stopped_at=None)

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
        changed = tuple((others | {delivery.number: delivery}).values())
        return replace(self, deliveries=changed[-MAX_DELIVERIES_KEPT:])

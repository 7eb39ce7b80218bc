"""WebhookLog: the deliveries of a task's events. Pure; each change returns a new log."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from common.domain.errors import DomainError
from common.wire_formats.task_event import TaskEvent
from frontend_api.webhooks.retry_schedule import RetrySchedule

MAX_DELIVERIES_KEPT = 50
"""The latest deliveries per task: a long task may have any number of events."""
MAX_TRIES_KEPT = 100
"""The latest tries per delivery: a day of failures has about 150."""
MAX_TRIES_IN_ALL = 200
"""Of all deliveries of a task together. Each takes a fortieth of a millisecond of a process to read."""
GONE = 410
_ERROR_CHARACTERS = 200


class DeliveryNotFoundError(DomainError):
    code = "webhook_delivery_not_found"

    def __init__(self, number: int) -> None:
        super().__init__(f"this task has no webhook delivery {number}")


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    """It will be tried, or tried again."""
    DELIVERED = "delivered"
    ABANDONED = "abandoned"
    """It failed for a day, no try can succeed, or the event is obsolete. Only a replay sends it again."""
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
    attempt: int = 0
    """The task's attempt that the event is about."""
    traceparent: str | None = None
    """The trace of the first try, which later ones continue."""
    tries_made: int = 0
    tries: tuple[WebhookTry, ...] = ()
    """The latest tries, oldest first, at most MAX_TRIES_KEPT; fewer in a log of many deliveries."""
    delivered_at: datetime | None = None
    retry_at: datetime | None = None
    """When it is tried again; None if it is not."""
    retried_until: datetime | None = None
    """A failed try at or after this time is the last one."""
    abandoned: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DueEvent:
    """An event to send again, in the trace of its first try."""

    event: TaskEvent
    traceparent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookLog:
    task_id: str
    user_id: str | None = None
    """The task's owner; None in a log without deliveries."""
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

    @property
    def retry_at(self) -> datetime | None:
        """When the next delivery is tried again; None if there is none."""
        if self.stopped_at is not None:
            return None
        return min((one.retry_at for one in self.deliveries if one.retry_at is not None), default=None)

    def turn_after(self, before: "WebhookLog") -> datetime | None:
        """Return when this log needs a turn of its caller; None if the turn for `before` is enough.

        Deliveries that have not changed count no more: an overdue one would move its caller before those
        that have waited longer.
        """
        if self.stopped_at is not None:
            return None
        known = () if before.stopped_at is not None else before.deliveries
        changed = (one.retry_at for one in self.deliveries if one not in known)
        return min((retry_at for retry_at in changed if retry_at is not None), default=None)

    def is_due(self, event_id: str, *, now: datetime) -> bool:
        """Return whether the event has to be sent now: neither later, nor no more."""
        if self.stopped_at is not None:
            return False
        delivery = self._of_event(event_id)
        if delivery is None:
            return True
        is_over = delivery.delivered_at is not None or delivery.abandoned
        return not is_over and (delivery.retry_at is None or delivery.retry_at <= now)

    def events_due(self, *, now: datetime) -> tuple["DueEvent", ...]:
        """Return the events to send again now, oldest first."""
        if self.stopped_at is not None or self.user_id is None:
            return ()
        return tuple(
            DueEvent(event=_event_of(self.task_id, self.user_id, one), traceparent=one.traceparent)
            for one in self.deliveries
            if one.retry_at is not None and one.retry_at <= now
        )

    def tried(
        self,
        event: TaskEvent,
        *,
        url: str,
        at: datetime,
        outcome: Outcome,
        schedule: RetrySchedule,
        expires_at: datetime,
        traceparent: str | None = None,
    ) -> "WebhookLog":
        """Return the log with one more try, which started `at`."""
        before = self._of_event(event.id) or self._new_delivery(event, url, traceparent)
        made = WebhookTry(
            at=at,
            status=outcome.status,
            error=None if outcome.error is None else outcome.error[:_ERROR_CHARACTERS],
            duration_seconds=round(outcome.duration_seconds, 3),
        )
        after = replace(before, tries_made=before.tries_made + 1, tries=(*before.tries, made))
        # Of two concurrent tries, the failed one may be recorded after the successful one.
        if outcome.is_success or before.delivered_at is not None:
            delivered_at = at if outcome.is_success else before.delivered_at
            after = replace(after, delivered_at=delivered_at, retry_at=None)
        elif outcome.is_final:
            after = replace(after, retry_at=None, abandoned=True)
        else:
            after = _scheduled(after, schedule, at)
        return replace(
            self._with(after),
            user_id=event.user_id,
            stopped_at=at if outcome.status == GONE else self.stopped_at,
            expires_at=expires_at,
        )

    def postponed(
        self,
        event: TaskEvent,
        *,
        url: str,
        at: datetime,
        schedule: RetrySchedule,
        expires_at: datetime,
        is_own: bool,
        traceparent: str | None = None,
    ) -> "WebhookLog":
        """Return the log with a delivery that could not be tried `at` this time, for want of a slot.

        If the caller's own tries hold the slots (`is_own`), the pause is that after a failure: otherwise the
        deliveries to a receiver that does not respond would come before those to others each time. It does
        not grow by the work of other callers.
        """
        before = self._of_event(event.id) or self._new_delivery(event, url, traceparent)
        if before.delivered_at is not None:
            return self
        after = _scheduled(before, schedule, at)
        if after.retry_at is not None and not is_own:
            after = replace(after, retry_at=at + schedule.first_pause)
        return replace(self._with(after), user_id=event.user_id, expires_at=expires_at)

    def without_obsolete(self, event_id: str) -> "WebhookLog":
        """Return the log whose delivery of this event, if there is one, is not tried again."""
        delivery = self._of_event(event_id)
        return self if delivery is None else self._with(replace(delivery, retry_at=None, abandoned=True))

    def reopened(self, number: int, *, user_id: str, at: datetime, schedule: RetrySchedule) -> "WebhookLog":
        """Return the log with a delivery that is due `at` this time, whatever its state was.

        Its day of tries begins again. A delivery that is due already stays as it is: replays in quick
        succession would change the log during each try, whose result then could not be stored.
        """
        before = self.numbered(number)
        is_pending = self.state_of(before) is DeliveryState.PENDING
        if is_pending and before.retry_at is not None and before.retry_at <= at:
            return self
        pending = replace(
            before,
            delivered_at=None,
            retry_at=at,
            retried_until=schedule.end_of(at),
            abandoned=False,
        )
        return replace(self._with(pending), user_id=user_id, stopped_at=None)

    def _of_event(self, event_id: str) -> WebhookDelivery | None:
        return next((one for one in self.deliveries if one.event_id == event_id), None)

    def _new_delivery(self, event: TaskEvent, url: str, traceparent: str | None) -> WebhookDelivery:
        return WebhookDelivery(
            number=self.deliveries[-1].number + 1 if self.deliveries else 1,
            event_id=event.id,
            type=event.type,
            timestamp=event.timestamp,
            url=url,
            attempt=event.attempt,
            traceparent=traceparent,
        )

    def _with(self, delivery: WebhookDelivery) -> "WebhookLog":
        others = {one.number: one for one in self.deliveries}
        changed = tuple((others | {delivery.number: delivery}).values())[-MAX_DELIVERIES_KEPT:]
        most = min(MAX_TRIES_KEPT, MAX_TRIES_IN_ALL // len(changed))
        return replace(self, deliveries=tuple(replace(one, tries=one.tries[-most:]) for one in changed))


def _scheduled(delivery: WebhookDelivery, schedule: RetrySchedule, at: datetime) -> WebhookDelivery:
    """Return the delivery after a failure `at` this time: to be tried again, or abandoned."""
    ends = delivery.retried_until or schedule.end_of(at)
    retry_at = schedule.next_try(at, ends=ends)
    return replace(delivery, retry_at=retry_at, retried_until=ends, abandoned=retry_at is None)


def _event_of(task_id: str, user_id: str, delivery: WebhookDelivery) -> TaskEvent:
    return TaskEvent(
        id=delivery.event_id,
        type=delivery.type,
        timestamp=delivery.timestamp,
        task_id=task_id,
        user_id=user_id,
        attempt=delivery.attempt,
    )

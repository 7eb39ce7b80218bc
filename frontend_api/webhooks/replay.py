"""Replay a delivery: send its event again, under the same id."""

from dataclasses import dataclass

from common.domain.errors import DependencyUnavailableError, DomainError
from common.domain.task import Task
from common.ports import Clock, EventPublisher
from common.wire_formats.task_event import ending_of
from frontend_api.webhooks.delivery_log import WebhookLog
from frontend_api.webhooks.ports import WebhookLogs


class DeliveryOutdatedError(DomainError):
    """The task was retried or has progressed since, so the event is obsolete."""

    code = "webhook_outdated"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDelivery:
    """Replays a delivery. The event is published to Pub/Sub as usual, with all retries.

    A delivery whose event Pub/Sub is already retrying gets no second message: each would be pushed for as
    long as the receiver refuses the event.
    """

    logs: WebhookLogs
    events: EventPublisher
    clock: Clock

    def __call__(self, task: Task, number: int) -> WebhookLog:
        """Return the log, with the delivery pending again. Safe to repeat.

        Raises DeliveryNotFoundError, DeliveryOutdatedError, DependencyUnavailableError.
        """
        seen, now = self.logs.get(task.id), self.clock.now()
        if not task.status.is_terminal or ending_of(task).id != seen.numbered(number).event_id:
            raise DeliveryOutdatedError(
                "the task has changed since this event; its next final event will be sent"
            )
        found: list[WebhookLog] = []

        def reopen(log: WebhookLog) -> WebhookLog:
            found.append(log)
            return log if log.has_message(number, now=now) else log.reopened(number, at=now)

        log = self.logs.update(task.id, reopen, last_seen=seen)
        if log is found[-1]:
            return log
        try:
            self.events.publish(task)
        except DependencyUnavailableError:
            self.logs.update(task.id, lambda log: log.without_message(number))  # it may be repeated at once
            raise
        return log

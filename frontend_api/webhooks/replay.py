"""Replay a delivery: send its event again, under the same id."""

from contextlib import suppress
from dataclasses import dataclass

from common.domain.errors import DependencyUnavailableError, DomainError
from common.domain.task import Task
from common.ports import Clock, EventPublisher
from common.wire_formats.task_event import ending_of
from frontend_api.webhooks.delivery_log import WebhookLog
from frontend_api.webhooks.ports import WebhookLogs
from frontend_api.webhooks.retry_schedule import RetrySchedule


class DeliveryOutdatedError(DomainError):
    """The task was retried or has progressed since, so the event is obsolete."""

    code = "webhook_outdated"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDelivery:
    logs: WebhookLogs
    events: EventPublisher
    schedule: RetrySchedule
    clock: Clock

    def __call__(self, task: Task, number: int) -> WebhookLog:
        """Return the log, with the delivery due at once. Safe to repeat.

        The message only saves the wait for the next run of RetryDeliveries. Raises
        DeliveryNotFoundError, DeliveryOutdatedError, DependencyUnavailableError.
        """
        seen, now = self.logs.get(task.id), self.clock.now()
        if not task.status.is_terminal or ending_of(task).id != seen.numbered(number).event_id:
            raise DeliveryOutdatedError(
                "the task has changed since this event; its next final event will be sent"
            )
        log = self.logs.update(
            task.id,
            lambda log: log.reopened(number, user_id=task.user_id, at=now, schedule=self.schedule),
            last_seen=seen,
        )
        with suppress(DependencyUnavailableError):
            self.events.publish(task)
        return log

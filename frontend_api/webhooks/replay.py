"""Replay a delivery: send its event again, under the same id."""

from dataclasses import dataclass

from common.domain.errors import DomainError
from common.domain.task import Task
from common.ports import EventPublisher
from common.wire_formats.task_event import ending_of
from frontend_api.webhooks.delivery_log import WebhookLog
from frontend_api.webhooks.ports import WebhookLogs


class DeliveryOutdatedError(DomainError):
    """The task was retried or has progressed since, so the event is obsolete."""

    code = "webhook_outdated"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayDelivery:
    """Replays a delivery. The event is published to Pub/Sub as usual, with all retries."""

    logs: WebhookLogs
    events: EventPublisher

    def __call__(self, task: Task, number: int) -> WebhookLog:
        """Return the log, with the delivery pending again. Safe to repeat.

        Raises DeliveryNotFoundError, DeliveryOutdatedError, DependencyUnavailableError.
        """
        delivery = self.logs.get(task.id).numbered(number)
        if not task.status.is_terminal or ending_of(task).id != delivery.event_id:
            raise DeliveryOutdatedError(
                "the task has changed since this event; its next final event will be sent"
            )
        log = self.logs.update(task.id, lambda log: log.reopened(number))
        self.events.publish(task)
        return log

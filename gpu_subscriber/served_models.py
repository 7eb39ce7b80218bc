"""ServedModelsOnly: return a delivery whose model this worker does not serve, instead of failing its task.

Such a delivery comes while a model moves to another pool, or before a roll-out that adds a model has reached this
worker. Another worker of the pool may serve it; if none does, rescue publishes the task again and the API's message
names the model's pool of that moment.
"""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from common.domain.errors import DependencyUnavailableError, TaskNotFoundError
from common.ports import TaskStore
from gpu_subscriber.ports import Delivery, Settlement

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedModelsOnly:
    """Calls `process` for deliveries of `models`, and for all whose task needs no worker any more."""

    models: frozenset[str]
    store: TaskStore
    process: Callable[[Delivery], Settlement]

    def __call__(self, delivery: Delivery) -> Settlement:
        """Settle the delivery."""
        model = delivery.attributes.get("model")
        if model is None or model in self.models or self._is_finished(delivery):
            return self.process(delivery)
        _log.warning(
            "model_not_served",
            model=model,
            task_id=delivery.attributes.get("task_id"),
            subscription=delivery.subscription,
            delivery_attempt=delivery.delivery_attempt,
        )
        return Settlement.RETURN

    def _is_finished(self, delivery: Delivery) -> bool:
        """Whether the task is terminal or deleted: the delivery is then acknowledged and never dead-lettered."""
        task_id = delivery.attributes.get("task_id")
        if task_id is None:
            return False
        try:
            return self.store.get(task_id).status.is_terminal
        except TaskNotFoundError:
            return True
        except DependencyUnavailableError:
            return False

"""Return a delivery whose model another worker serves, instead of failing its task.

Such deliveries arrive while a model moves to another pool. If no worker of the subscription serves
the model any more, rescue publishes the task again, and the API's message names the model's current
pool.
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
    """Calls `process` unless another worker serves the delivery's model and the task is unfinished."""

    elsewhere: frozenset[str]
    store: TaskStore
    process: Callable[[Delivery], Settlement]

    def __call__(self, delivery: Delivery) -> Settlement:
        """Settle the delivery."""
        model, task_id = delivery.attributes.get("model"), delivery.attributes.get("task_id")
        if model not in self.elsewhere or task_id is None or self._is_finished(task_id):
            return self.process(delivery)
        _log.warning(
            "model_not_served",
            model=model,
            task_id=task_id,
            subscription=delivery.subscription,
            delivery_attempt=delivery.delivery_attempt,
        )
        return Settlement.RETURN

    def _is_finished(self, task_id: str) -> bool:
        """Return whether the task is terminal or deleted: its delivery is then acknowledged."""
        try:
            return self.store.get(task_id).status.is_terminal
        except TaskNotFoundError:
            return True
        except DependencyUnavailableError:
            return False

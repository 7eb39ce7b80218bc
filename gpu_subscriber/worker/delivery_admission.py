"""Which deliveries a worker accepts, by their model. No I/O.

Two kinds are returned to Pub/Sub at once, unclaimed, so that they cost the task no attempt and
another worker may receive them:

- of a model that failed to load here and is in its backoff: a worker that fails tasks at once would
  take most of a healthy worker's deliveries;
- of a model that generates one image at a time, while this worker holds a task of such a model: it
  would only wait.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from gpu_subscriber.engine.messages import EngineReady
from gpu_subscriber.ports import Delivery


class DeliveryAdmission:
    """Shared by all deliveries of a worker. Thread-safe."""

    def __init__(self) -> None:
        self._exclusive = threading.Semaphore()

    @contextmanager
    def admitted(self, delivery: Delivery, engine: EngineReady | None) -> Iterator[bool]:
        """Yield whether to process the delivery inside this context."""
        model = delivery.attributes.get("model", "")
        if engine is None:
            yield True
        elif self._is_in_backoff(model, engine):
            yield False
        elif model not in engine.exclusive:
            yield True
        elif self._exclusive.acquire(blocking=False):
            try:
                yield True
            finally:
                self._exclusive.release()
        else:
            yield False

    def _is_in_backoff(self, model: str, engine: EngineReady) -> bool:
        # The machine's clock, by which the engine set `retry_at`; the worker's own clock is corrected.
        now = datetime.now(UTC)
        return any(broken.model == model and now < broken.retry_at for broken in engine.broken)

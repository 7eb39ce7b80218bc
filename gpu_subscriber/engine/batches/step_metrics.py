"""StepMetrics: collects the engine's work and reports it about once a second. Does not import torch."""

from collections.abc import Callable

from gpu_subscriber.engine.messages import EngineMeasured, StepMeasured

_INTERVAL_SECONDS = 1.0


class StepMetrics:
    """Records each step of a batch; sends to the parent once a second, and when all work is done."""

    def __init__(self, *, send: Callable[[EngineMeasured], None], clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._steps: list[StepMeasured] = []
        self._busy_seconds = 0.0
        self._published_at = clock()

    def stepped(self, model: str, *, batch: int, seconds: float) -> None:
        """Record one step of a batch of `batch` images."""
        self._steps.append(StepMeasured(model=model, batch=batch, seconds=seconds))

    def worked(self, seconds: float, *, is_done: bool) -> None:
        """Record working time; `is_done` when no work is left."""
        self._busy_seconds += seconds
        now = self._clock()
        if is_done or now - self._published_at >= _INTERVAL_SECONDS:
            self._send(EngineMeasured(steps=tuple(self._steps), busy_seconds=self._busy_seconds))
            self._steps, self._busy_seconds, self._published_at = [], 0.0, now

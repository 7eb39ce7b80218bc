"""Meter: what the engine did, gathered as it does it and told about once a second. Free of torch."""

from collections.abc import Callable

from gpu_subscriber.engine.messages import EngineMeasured, StepMeasured

_TOLD_EVERY_SECONDS = 1.0


class Meter:
    """Costs an entry in a list per step of a batch; a message to the parent once a second, and when all is done."""

    def __init__(self, *, send: Callable[[EngineMeasured], None], clock: Callable[[], float]) -> None:
        self._send = send
        self._clock = clock
        self._steps: list[StepMeasured] = []
        self._busy_seconds = 0.0
        self._told_at = clock()

    def stepped(self, model: str, *, batch: int, seconds: float) -> None:
        """A batch of so many images took one step."""
        self._steps.append(StepMeasured(model=model, batch=batch, seconds=seconds))

    def worked(self, seconds: float, *, is_done: bool) -> None:
        """The engine worked for so long; `is_done` when nothing is left to do."""
        self._busy_seconds += seconds
        now = self._clock()
        if is_done or now - self._told_at >= _TOLD_EVERY_SECONDS:
            self._send(EngineMeasured(steps=tuple(self._steps), busy_seconds=self._busy_seconds))
            self._steps, self._busy_seconds, self._told_at = [], 0.0, now

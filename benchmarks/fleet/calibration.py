"""Measure step times with the engine in this process, and run it on a trace of arrivals.

On a CPU, time is the processor time of this process, plus the time without work, which is skipped.
So other programs on the machine hardly change the results, and no run waits for an arrival.
"""

import statistics
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.fleet.simulated_engine import Image
from benchmarks.fleet.step_times import StepTimes, step_times
from benchmarks.measured_engine import MeasuredEngine, start_of
from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.messages import EngineMeasured, FromEngine, ImageReady


@dataclass(slots=True)
class Clock:
    """Seconds of work of the device, and skipped seconds without work."""

    working: Callable[[], float]
    skipped: float = 0.0

    @classmethod
    def of(cls, device: Device) -> "Clock":
        """Return a clock for this device: processor time, or on a GPU the usual time."""
        return cls(time.perf_counter if device.is_cuda else time.process_time)

    def __call__(self) -> float:
        return self.working() + self.skipped

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do not count the time of the block."""
        began = self.working()
        yield
        self.skipped -= self.working() - began

    def skip_to(self, moment: float) -> None:
        """Set the clock to a later moment."""
        self.skipped += max(0.0, moment - self())


@contextmanager
def timed_by(device: Device, clock: Clock) -> Iterator[None]:
    """Let the device charge its work by this clock, where it has no events of its own."""
    usual, device.clock = device.clock, clock
    try:
        yield
    finally:
        device.clock = usual


class StepTimesMeter:
    """Measures steps of all sizes and batches, in rounds."""

    def __init__(
        self, engine: MeasuredEngine, *, sides: Sequence[int], batches: Sequence[int], steps: int
    ) -> None:
        """Measure one round that does not count: it warms up."""
        self._engine = engine
        self._steps = steps
        self._measured: dict[tuple[int, int], list[tuple[float, float]]] = {
            (side, batch): [] for side in sides for batch in batches
        }
        self._rounds = 0
        self.measure()
        for measured in self._measured.values():
            measured.clear()

    def measure(self) -> None:
        """Measure each size and batch once."""
        self._rounds += 1
        for (side, batch), measured in self._measured.items():
            measured.append(
                _measured_round(self._engine, side=side, batch=batch, steps=self._steps, seed=self._rounds)
            )

    @property
    def times(self) -> StepTimes:
        """The means of all rounds, because a queue adds up the times."""
        (times,) = step_times(
            {
                "model": self._engine.spec.name,
                "width": side,
                "height": side,
                "batch": batch,
                "step_seconds": statistics.fmean(step for step, _ in measured),
                "around_seconds": statistics.fmean(around for _, around in measured),
            }
            for (side, batch), measured in self._measured.items()
        )
        return times


def _measured_round(
    engine: MeasuredEngine, *, side: int, batch: int, steps: int, seed: int
) -> tuple[float, float]:
    """Return the seconds of a step and, per image, of the rest."""
    clock = Clock.of(engine.device)
    requests = [_request(engine, side, steps, seed=1_000_000 * seed + number) for number in range(batch)]
    with timed_by(engine.device, clock):
        began = clock()
        sent = engine.generate(requests, caps=BatchCaps(max_batch=batch))
        engine.device.synchronize()
        took = clock() - began
    taken = [
        step.seconds for message in sent if isinstance(message, EngineMeasured) for step in message.steps
    ]
    return statistics.fmean(taken), (took - sum(taken)) / batch


def run_engine(
    engine: MeasuredEngine,
    images: Sequence[Image],
    *,
    caps: BatchCaps,
    slots: int,
    between: Callable[[], object] = lambda: None,
    breaks: int = 0,
) -> list[float]:
    """Generate images that arrive at the times of a trace; return each one's time of completion.

    The engine gets at most `slots` of them at once, like a worker. Times count from the trace's start.
    `between` is called `breaks` times after some of the images, while the clock is paused.
    """
    clock = Clock.of(engine.device)
    sent: list[FromEngine] = []
    finished: dict[str, float] = {}

    def send(message: FromEngine) -> None:
        if isinstance(message, ImageReady):
            finished[message.run_id] = clock()
        sent.append(message)

    running = engine.new_engine(send, caps=caps, clock=clock)
    coming, given, broken = deque(enumerate(images)), 0, 0
    with timed_by(engine.device, clock):
        began = clock()
        while coming or running.is_busy:
            while coming and given - len(finished) < slots and began + coming[0][1].submission.at <= clock():
                number, image = coming.popleft()
                request = _request(engine, image.key.width, image.steps_left, seed=number)
                running.receive(start_of(request, queued_at=image.submission.at))
                given += 1
            if broken < (breaks + 1) * len(finished) // len(images):
                engine.device.finish_transfers(wait=True)
                with clock.paused():
                    between()
                broken += 1
            elif running.is_busy:
                running.advance()
            else:
                clock.skip_to(began + coming[0][1].submission.at)
    return [finished[str(number)] - began for number in range(len(images))]


def _request(engine: MeasuredEngine, side: int, steps: int, *, seed: int) -> GenerationParameters:
    plain = engine.spec.defaulted(prompt=f"picture number {seed}", seed=seed)
    return plain.model_copy(update={"width": side, "height": side, "steps": steps})

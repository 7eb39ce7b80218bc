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
from typing import Any

from benchmarks.fleet.simulated_engine import Image
from benchmarks.fleet.step_times import StepTimes, step_times
from benchmarks.measured_engine import MeasuredEngine, start_of
from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.messages import EngineMeasured, FromEngine, ImageReady

ROUNDS = 3


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


def measured_step_times(
    engine: MeasuredEngine,
    *,
    sides: Sequence[int],
    batches: Sequence[int],
    steps: int,
    rounds: int = ROUNDS,
) -> list[dict[str, Any]]:
    """Return rows for `step_times`: means, because a queue adds up the times.

    The rounds alternate between the batches.
    """
    found: dict[tuple[int, int], list[tuple[float, float]]] = {
        (side, batch): [] for side in sides for batch in batches
    }
    for number in range(1 + rounds):
        for (side, batch), measured in found.items():
            each = _measured_round(engine, side=side, batch=batch, steps=steps, seed=number)
            if number > 0:  # the first round warms up
                measured.append(each)
    return [
        {
            "model": engine.spec.name,
            "width": side,
            "height": side,
            "batch": batch,
            "step_seconds": statistics.fmean(step for step, _ in measured),
            "around_seconds": statistics.fmean(around for _, around in measured),
        }
        for (side, batch), measured in found.items()
    ]


def _measured_round(
    engine: MeasuredEngine, *, side: int, batch: int, steps: int, seed: int
) -> tuple[float, float]:
    """Return the seconds of a step and, per image, of the rest."""
    clock = Clock.of(engine.device)
    requests = [_request(engine, side, steps, seed=1000 * seed + number) for number in range(batch)]
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
    engine: MeasuredEngine, images: Sequence[Image], *, caps: BatchCaps, slots: int
) -> list[float]:
    """Generate images that arrive at the times of a trace; return each one's time of completion.

    The engine gets at most `slots` of them at once, like a worker. Times count from the trace's start.
    """
    clock = Clock.of(engine.device)
    sent: list[FromEngine] = []
    finished: dict[str, float] = {}

    def send(message: FromEngine) -> None:
        if isinstance(message, ImageReady):
            finished[message.run_id] = clock()
        sent.append(message)

    running = engine.new_engine(send, caps=caps, clock=clock)
    coming, given = deque(enumerate(images)), 0
    with timed_by(engine.device, clock):
        began = clock()
        while coming or running.is_busy:
            while coming and given - len(finished) < slots and began + coming[0][1].submission.at <= clock():
                number, image = coming.popleft()
                request = _request(engine, image.key.width, image.steps_left, seed=number)
                running.receive(start_of(request, submitted_at=image.submission.at))
                given += 1
            if running.is_busy:
                running.advance()
            else:
                clock.skip_to(began + coming[0][1].submission.at)
    return [finished[str(number)] - began for number in range(len(images))]


def _request(engine: MeasuredEngine, side: int, steps: int, *, seed: int) -> GenerationParameters:
    plain = engine.spec.defaulted(prompt=f"picture number {seed}", seed=seed)
    return plain.model_copy(update={"width": side, "height": side, "steps": steps})


def times_of(rows: Sequence[dict[str, Any]]) -> StepTimes:
    """Return the times of the one model of these rows."""
    (times,) = step_times(rows)
    return times

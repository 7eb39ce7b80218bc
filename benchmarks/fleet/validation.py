"""Compare the simulation of one worker with the engine on the same arrivals."""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from benchmarks.fleet.calibration import StepTimesMeter, run_engine
from benchmarks.fleet.simulated_engine import Image
from benchmarks.fleet.sizing import Traffic, run_fixed
from benchmarks.fleet.step_times import StepTimes
from benchmarks.measured_engine import MeasuredEngine
from benchmarks.measurement import percentile

BATCHES = (1, 2, 4, 8)
CALIBRATION_STEPS = 4
BREAKS = 8
"""Rounds of step times that are measured during a run, because the machine's speed changes."""
LOADS = (0.3, 0.6, 0.9)
"""Arrivals as a share of what full batches can serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Predicted and measured figures of one load and one policy."""

    load: float
    max_batch: int
    predicted: tuple[float, float, float]
    """Images per second, mean and p99 of the time to the image."""
    measured: tuple[float, float, float]

    @property
    def deviations(self) -> tuple[float, float, float]:
        """The predicted figures relative to the measured ones, minus 1."""
        throughput, mean, p99 = (
            predicted / measured - 1
            for predicted, measured in zip(self.predicted, self.measured, strict=True)
        )
        return throughput, mean, p99


def compare(
    engine: MeasuredEngine,
    *,
    sides: Sequence[int],
    steps: int,
    images: int,
    loads: Sequence[float] = LOADS,
    batches: Sequence[int] = BATCHES,
    seed: int = 1,
) -> Iterator[Comparison]:
    """Run the engine and predict the run, from step times that are measured in breaks of the same run."""
    for max_batch in (1, max(batches)):
        for load in loads:
            meter = StepTimesMeter(engine, sides=sides, batches=batches, steps=min(steps, CALIBRATION_STEPS))
            meter.measure()
            planned = meter.times
            caps = planned.caps(max_batch=max_batch)
            slots = planned.slots(max_batch=max_batch)
            arrivals = _arrivals(
                planned, sides, steps, max_batch=max_batch, load=load, images=images, seed=seed
            )
            ends = run_engine(
                engine,
                arrivals,
                caps=caps,
                slots=slots,
                between=meter.measure,
                breaks=BREAKS,
            )
            fresh = [replace(image) for image in arrivals]
            outcome = run_fixed(fresh, meter.times, caps=caps, gpus=1, seed=seed)
            yield Comparison(
                load=load,
                max_batch=slots,
                predicted=(outcome.throughput, outcome.mean, outcome.p99),
                measured=_figures(arrivals, ends),
            )


def _arrivals(
    times: StepTimes, sides: Sequence[int], steps: int, *, max_batch: int, load: float, images: int, seed: int
) -> tuple[Image, ...]:
    traffic = Traffic(images_per_hour=1.0, steps=steps, hours=0.0, mix=dict.fromkeys(sides, 1.0))
    per_second = load / traffic.image_seconds(times, max_batch=max_batch)
    hours = images / per_second / 3_600
    return replace(traffic, images_per_hour=3_600 * per_second, hours=hours).images(
        times, max_batch=max_batch, seed=seed
    )


def _figures(arrivals: Sequence[Image], ends: Sequence[float]) -> tuple[float, float, float]:
    waits = [end - image.submission.at for image, end in zip(arrivals, ends, strict=True)]
    throughput = len(ends) / (max(ends) - arrivals[0].submission.at)
    return throughput, statistics.fmean(waits), percentile(waits, 99)

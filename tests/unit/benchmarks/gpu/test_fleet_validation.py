"""The comparison of the simulation with the engine, with tiny networks."""

from collections.abc import Iterator

import pytest
import torch

from benchmarks.autoscaling.traces import Submission
from benchmarks.fleet.calibration import Clock, StepTimesMeter, run_engine
from benchmarks.fleet.simulated_engine import Image
from benchmarks.fleet.step_times import key_of
from benchmarks.fleet.validation import compare
from benchmarks.gpu.architectures import ARCHITECTURES
from benchmarks.measured_engine import MeasuredEngine
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.engine_settings import EngineSettings

SIDE = 64


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeasuredEngine]:
    threads = torch.get_num_threads()
    spec = ARCHITECTURES["tiny"].saved(
        tmp_path_factory.mktemp("tiny") / "model", device=torch.device("cpu"), dtype=torch.float32
    )
    yield MeasuredEngine.loaded(EngineSettings(models=(spec,), device="cpu", max_batch=2, cpu_threads=1))
    torch.set_num_threads(threads)


def test_step_times_are_measured_for_each_size_and_batch(engine: MeasuredEngine) -> None:
    meter = StepTimesMeter(engine, sides=(SIDE, 72), batches=(1, 2), steps=2)
    meter.measure()
    times = meter.times
    assert [key.width for key in times.sizes] == [72, SIDE]
    assert all(seconds > 0 for size in times.sizes.values() for seconds in size.steps.values())


def test_engine_skips_the_time_without_work(engine: MeasuredEngine) -> None:
    moments = (0.0, 0.0, 10_000.0)
    key = key_of("tiny", SIDE, SIDE)
    images = [Image(Submission(at, 1.0, 1.0), 1.0, key=key, steps_left=2) for at in moments]
    ends = run_engine(engine, images, caps=BatchCaps(max_batch=2), slots=2)
    assert ends[0] < 10_000 < ends[2]
    assert all(end > at for end, at in zip(ends, moments, strict=True))


def test_paused_clock_counts_no_work() -> None:
    now = 5.0
    clock = Clock(lambda: now)
    with clock.paused():
        now = 8.0
    assert clock() == 5.0
    clock.skip_to(20.0)
    assert clock() == 20.0


def test_engine_is_interrupted_for_the_requested_breaks(engine: MeasuredEngine) -> None:
    key, breaks = key_of("tiny", SIDE, SIDE), []
    images = [Image(Submission(0.0, 1.0, 1.0), 1.0, key=key, steps_left=2) for _ in range(4)]
    run_engine(
        engine,
        images,
        caps=BatchCaps(max_batch=1),
        slots=1,
        between=lambda: breaks.append(1),
        breaks=2,
    )
    assert len(breaks) == 2


def test_validation_compares_both_ways_to_serve(engine: MeasuredEngine) -> None:
    found = list(compare(engine, sides=(SIDE,), steps=2, images=4, loads=(0.5,), batches=(1, 2)))
    assert [(each.max_batch <= 2, each.load) for each in found] == [(True, 0.5)] * 2
    for each in found:
        for deviation, predicted, measured in zip(
            each.deviations, each.predicted, each.measured, strict=True
        ):
            assert predicted == pytest.approx((1 + deviation) * measured)
            assert measured > 0

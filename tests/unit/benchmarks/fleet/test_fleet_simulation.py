"""The simulation's rules, on cases that are computed by hand."""

import inspect
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.autoscaling.autoscalers import OURS, TUTORIAL_KEDA, Autoscaler
from benchmarks.autoscaling.traces import Submission
from benchmarks.fleet.simulated_engine import Image, SimulatedEngine
from benchmarks.fleet.sizing import Traffic, run_fixed, run_scaled, smallest_fleet
from benchmarks.fleet.step_times import StepTimes, step_times
from gpu_subscriber.engine.batches.batch_planning import Candidate, plan_batch


def times_of(
    steps: dict[int, float], *, around: float = 0.5, small: dict[int, float] | None = None
) -> StepTimes:
    """Return times at 1024², and with `small` at 512² too."""
    sides = {1024: steps, **({512: small} if small else {})}
    (times,) = step_times(
        {
            "model": "sdxl",
            "width": side,
            "height": side,
            "batch": batch,
            "step_seconds": seconds,
            "around_seconds": around,
        }
        for side, by_batch in sides.items()
        for batch, seconds in by_batch.items()
    )
    return times


TIMES = times_of({1: 1.0, 2: 1.5})
TWO_SIZES = times_of({1: 1.0, 2: 1.5}, small={1: 0.5, 2: 0.75})


def image(times: StepTimes, *, at: float = 0.0, steps: int = 3, side: int = 1024) -> Image:
    size = times.of_side(side)
    seconds = size.image_seconds(steps, batch=1)
    return Image(Submission(at, seconds, seconds), seconds, key=size.key, steps_left=steps)


def ends(images: Sequence[Image], times: StepTimes, *, max_batch: int, gpus: int = 1) -> list[float | None]:
    run_fixed(images, times, caps=times.caps(max_batch=max_batch), gpus=gpus, seed=1)
    return [each.finished_at for each in images]


def test_two_images_share_their_common_steps() -> None:
    images = [image(TIMES, steps=3), image(TIMES, at=0.5, steps=2)]
    # A step alone, then two together, which end together: 1.0 + 2 × 1.5 + 2 × 0.5.
    assert ends(images, TIMES, max_batch=8) == pytest.approx([5.0, 5.0])


def test_second_image_waits_for_the_first_when_steps_are_not_shared() -> None:
    images = [image(TIMES, steps=3), image(TIMES, at=0.5, steps=2)]
    assert ends(images, TIMES, max_batch=1) == pytest.approx([3.5, 6.0])


def test_each_of_two_workers_takes_an_image() -> None:
    images = [image(TIMES, steps=3), image(TIMES, at=0.5, steps=2)]
    assert ends(images, TIMES, max_batch=1, gpus=2) == pytest.approx([3.5, 3.0])


def test_third_image_waits_for_a_slot() -> None:
    images = [image(TIMES, steps=2), image(TIMES, steps=2), image(TIMES, at=0.1, steps=1)]
    # The cap is 2: two together take 2 × 1.5 + 1.0, the third 1.0 + 0.5 after them.
    assert ends(images, TIMES, max_batch=8) == pytest.approx([4.0, 4.0, 5.5])


def test_images_of_two_sizes_take_turns_by_the_round_robin() -> None:
    images = [image(TWO_SIZES, steps=2), image(TWO_SIZES, steps=4, side=512)]
    # Credits of 0.5 s: a step of 1.0 s, one of 0.5 s, then twice as many of the small image.
    large, small = ends(images, TWO_SIZES, max_batch=8)
    assert large is not None
    assert small is not None
    assert max(large, small) == pytest.approx(2 * 1.0 + 4 * 0.5 + 2 * 0.5)
    assert min(large, small) > 2.5, "neither image kept the device"


def test_engine_takes_every_batch_from_the_planner() -> None:
    assert inspect.signature(SimulatedEngine).parameters["plan"].default is plan_batch
    planned: list[int] = []

    def plan(*given: Any, **named: Any) -> tuple[Candidate, ...]:
        batch = plan_batch(*given, **named)
        planned.append(len(batch))
        return batch

    engine = SimulatedEngine(TIMES, caps=TIMES.caps(max_batch=8), slots=2, plan=plan)
    for steps in (3, 1):
        engine.receive(image(TIMES, steps=steps), now=0.0)
    taken = []
    while engine.is_busy:
        step = engine.next_step(0.0)
        taken.append(len(step.images))
        engine.complete(step)
    assert taken == planned == [2, 1, 1]


def traffic(rate: float, *, hours: float = 0.5, sides: Sequence[int] = (1024, 512)) -> Traffic:
    return Traffic(images_per_hour=rate, steps=3, hours=hours, mix=dict.fromkeys(sides, 1.0))


@given(
    rate=st.sampled_from([20.0, 600.0, 2_500.0]),
    max_batch=st.sampled_from([1, 2, 8]),
    gpus=st.integers(1, 3),
    seed=st.integers(0, 3),
)
def test_every_image_is_served_once_by_constant_fleets(
    rate: float, max_batch: int, gpus: int, seed: int
) -> None:
    images = traffic(rate, hours=0.1).images(TWO_SIZES, max_batch=max_batch, seed=seed)
    if not images:
        return
    outcome = run_fixed(images, TWO_SIZES, caps=TWO_SIZES.caps(max_batch=max_batch), gpus=gpus, seed=seed)
    assert (len(outcome.waits), outcome.unfinished) == (len(images), 0)
    shortest = TWO_SIZES.of_side(512)
    assert min(outcome.waits) >= 3 * shortest.step_seconds(1) + shortest.around_seconds(1) - 1e-6


@pytest.mark.parametrize("autoscaler", [OURS, TUTORIAL_KEDA], ids=lambda each: each.name)
@pytest.mark.parametrize("max_batch", [1, 8])
def test_every_image_is_served_once_by_scaled_fleets(autoscaler: Autoscaler, max_batch: int) -> None:
    busy = traffic(2_000, hours=1.0)
    images = busy.images(TWO_SIZES, max_batch=max_batch, seed=4)
    outcome = run_scaled(images, TWO_SIZES, autoscaler, max_batch=max_batch, max_gpus=6, seed=4)
    assert outcome.unfinished == 0
    assert all(each.steps_left == 0 for each in images)
    assert 1 <= outcome.most_gpus <= 6


def test_simulation_is_deterministic_by_seed() -> None:
    def outcome(seed: int) -> object:
        images = traffic(1_500, hours=1.0).images(TWO_SIZES, max_batch=8, seed=seed)
        return run_scaled(images, TWO_SIZES, OURS, max_batch=8, max_gpus=6, seed=seed)

    assert outcome(1) == outcome(1)
    assert outcome(1) != outcome(2)


def test_smallest_fleet_is_the_first_that_keeps_the_latency() -> None:
    busy = traffic(2_000, hours=0.5, sides=(1024,))
    images = busy.images(TIMES, max_batch=1, seed=3)
    load = 2_000 / 3_600 * 3.5
    gpus, outcome = smallest_fleet(images, TIMES, max_batch=1, load=load, p99_seconds=8.0, seed=3)
    assert outcome.p99 <= 8.0
    fewer = run_fixed(
        [replace(each) for each in images], TIMES, caps=TIMES.caps(max_batch=1), gpus=gpus - 1, seed=3
    )
    assert fewer.p99 > 8.0
    assert gpus >= load / 0.95


def test_latency_that_no_fleet_keeps_is_refused() -> None:
    images = traffic(100, sides=(1024,)).images(TIMES, max_batch=1, seed=1)
    with pytest.raises(ValueError, match=r"no fleet keeps a p99 of 1 s: one image takes 3\.5 s"):
        smallest_fleet(images, TIMES, max_batch=1, load=0.1, p99_seconds=1.0, seed=1)


def test_cost_per_image_is_the_price_of_the_billed_hours() -> None:
    images = traffic(100, sides=(1024,)).images(TIMES, max_batch=1, seed=1)
    outcome = run_fixed(images, TIMES, caps=TIMES.caps(max_batch=1), gpus=2, seed=1)
    assert outcome.cost_per_image(gpu_hour=3.0, images_per_hour=100) == pytest.approx(0.06)

"""The scenarios, the runs of every autoscaler in each of them, and the compared figures."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from benchmarks.autoscaling.autoscalers import OURS, TUTORIAL_HPA, TUTORIAL_KEDA, Autoscaler
from benchmarks.autoscaling.cluster import Physics
from benchmarks.autoscaling.outcomes import Outcome, World, simulate
from benchmarks.autoscaling.traces import HOUR, Submission, bursts, diurnal, regular_bursts
from benchmarks.measurement import Spread, spread_of

OURS_KEEPING_ONE = replace(
    OURS,
    name=f"{OURS.name}, one kept, 30 s",
    min_replicas=1,
    target_seconds=30.0,
    scale_down=replace(OURS.scale_down, stabilization_seconds=120.0),
)
"""The same policy at about the cost of the HPA tutorial: a permanent worker, and a short target."""
AUTOSCALERS = (OURS, TUTORIAL_KEDA, OURS_KEEPING_ONE, TUTORIAL_HPA)
GAPS_MINUTES = (10, 20, 30, 60, 240)
PAIRS = ((OURS, TUTORIAL_KEDA), (OURS_KEEPING_ONE, TUTORIAL_HPA))
"""Comparable pairs: both scale to zero, or both keep one worker."""

_FIRST_TWENTY_MINUTES = tuple((hour * HOUR, hour * HOUR + 1_200.0) for hour in range(24))
_TEN_TO_THIRTY = tuple((hour * HOUR + 600.0, hour * HOUR + 1_800.0) for hour in range(24))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """The submissions of a scenario, and its faults."""

    name: str
    meaning: str
    trace: Callable[[Random], tuple[Submission, ...]]
    hours: float
    world: World = field(default_factory=World)


def _eight_hours(random: Random) -> tuple[Submission, ...]:
    return bursts(random, hours=8)


SCENARIOS = (
    Scenario(
        name="bursts",
        meaning="20 to 200 tasks at once, about every half hour, in three mixes of sizes; no tasks between",
        trace=_eight_hours,
        hours=8,
    ),
    Scenario(
        name="a day",
        meaning="almost no tasks at night, 900 tasks per hour at noon",
        trace=lambda random: diurnal(random, hours=24),
        hours=24,
    ),
    Scenario(
        name="Spot loss",
        meaning="the bursts; a node lives two hours on average",
        trace=_eight_hours,
        hours=8,
        world=World(physics=Physics(spot_life_hours=2.0)),
    ),
    Scenario(
        name="late metrics",
        meaning="the bursts; samples are up to four minutes late, 30 % of the API's responses fail",
        trace=_eight_hours,
        hours=8,
        world=World(visible_after_seconds=240.0, demand_failure_rate=0.3),
    ),
    Scenario(
        name="missing metrics",
        meaning="the bursts; each hour, the API's metric is missing in minutes 0 to 20, Cloud Monitoring's in 10 to 30",
        trace=_eight_hours,
        hours=8,
        world=World(demand_outages=_FIRST_TWENTY_MINUTES, monitoring_outages=_TEN_TO_THIRTY),
    ),
)


def run_scenario(scenario: Scenario, autoscaler: Autoscaler, seeds: Iterable[int]) -> tuple[Outcome, ...]:
    """Run once per seed; a seed gives every autoscaler the same submissions."""
    return tuple(
        simulate(scenario.trace(Random(seed)), autoscaler, scenario.world, seed=seed, hours=scenario.hours)
        for seed in seeds
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """One autoscaler's figures as shares of another's, seed by seed."""

    first_image: Spread
    """Of the mean time to the first image: a median would hide bursts that find an empty fleet."""
    wait: Spread
    """Of the median time from a task to its image."""
    gpu_hours: Spread


def ratios(own: Sequence[Outcome], others: Sequence[Outcome]) -> Ratios:
    """Divide by the other's values, for runs of the same seeds in the same order."""

    def spread(figure: Callable[[Outcome], float]) -> Spread:
        return spread_of([figure(one) / figure(other) for one, other in zip(own, others, strict=True)])

    return Ratios(
        first_image=spread(lambda outcome: statistics.fmean(outcome.first_images)),
        wait=spread(lambda outcome: statistics.median(outcome.waits)),
        gpu_hours=spread(lambda outcome: outcome.gpu_hours),
    )


def first_image_delays(gap_seconds: float, autoscaler: Autoscaler, seeds: Iterable[int]) -> Spread:
    """Return the times to the first image of a burst `gap_seconds` after the previous one."""
    delays = []
    for seed in seeds:
        trace = regular_bursts(Random(seed), gap_seconds=gap_seconds, count=2)
        hours = (gap_seconds + 2 * HOUR) / HOUR
        delays.append(simulate(trace, autoscaler, World(), seed=seed, hours=hours).first_images[1])
    return spread_of(delays)


def blind_decisions(outcome: Outcome) -> int:
    """Count changes without any metric, and removals while a metric was missing."""
    return sum(
        all(reading is None for reading in decision.readings)
        or (decision.after < decision.before and None in decision.readings)
        for decision in outcome.decisions
    )

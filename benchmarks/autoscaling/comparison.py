"""The scenarios, every autoscaler in each of them, and the figures that are compared."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from benchmarks.autoscaling.autoscalers import OURS, TUTORIAL_HPA, TUTORIAL_KEDA, Autoscaler
from benchmarks.autoscaling.cluster import Physics
from benchmarks.autoscaling.outcomes import Outcome, World, simulated
from benchmarks.autoscaling.traces import HOUR, Submission, bursts, diurnal, regular_bursts
from benchmarks.measurement import Spread, percentile, spread_of

OURS_KEEPING_ONE = replace(
    OURS,
    name=f"{OURS.name}, one kept, 30 s",
    min_replicas=1,
    target_seconds=30.0,
    scale_down=replace(OURS.scale_down, stabilization_seconds=120.0),
)
"""The same policy for those who would pay what the HPA tutorial costs: a worker that stays, and a short target."""
AUTOSCALERS = (OURS, TUTORIAL_KEDA, OURS_KEEPING_ONE, TUTORIAL_HPA)
PAIRS = ((OURS, TUTORIAL_KEDA), (OURS_KEEPING_ONE, TUTORIAL_HPA))
"""What may be compared: both go to zero, or both keep one."""

_FIRST_TWENTY_MINUTES = tuple((hour * HOUR, hour * HOUR + 1_200.0) for hour in range(24))
_TEN_TO_THIRTY = tuple((hour * HOUR + 600.0, hour * HOUR + 1_800.0) for hour in range(24))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Who submits what, and what goes wrong meanwhile."""

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
        meaning="20 to 200 tasks at once, about every half hour, three mixes of sizes; nothing between",
        trace=_eight_hours,
        hours=8,
    ),
    Scenario(
        name="a day",
        meaning="nearly nobody at night, 900 tasks an hour at noon",
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
        meaning="the bursts; samples are seen after up to four minutes, three in ten of the API's answers are not",
        trace=_eight_hours,
        hours=8,
        world=World(visible_after_seconds=240.0, figure_failing_share=0.3),
    ),
    Scenario(
        name="missing metrics",
        meaning="the bursts; each hour the API's figure is missing in minutes 0 to 20, Cloud Monitoring's in 10 to 30",
        trace=_eight_hours,
        hours=8,
        world=World(figure_outages=_FIRST_TWENTY_MINUTES, monitoring_outages=_TEN_TO_THIRTY),
    ),
)


def run_scenario(scenario: Scenario, autoscaler: Autoscaler, seeds: Iterable[int]) -> tuple[Outcome, ...]:
    """One run for each seed; the same seed means the same callers for every autoscaler."""
    return tuple(
        simulated(scenario.trace(Random(seed)), autoscaler, scenario.world, seed=seed, hours=scenario.hours)
        for seed in seeds
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratios:
    """One autoscaler's figures as shares of another's, seed by seed."""

    first_image: Spread
    """Of the mean time from a burst to its first image: a median would hide the bursts that meet an empty fleet."""
    wait: Spread
    """Of the median time from a task to its image."""
    gpu_hours: Spread


def ratios(own: Sequence[Outcome], others: Sequence[Outcome]) -> Ratios:
    """Own over the other's, for runs of the same seeds in the same order."""

    def spread(figure: Callable[[Outcome], float]) -> Spread:
        return spread_of([figure(one) / figure(other) for one, other in zip(own, others, strict=True)])

    return Ratios(
        first_image=spread(lambda outcome: statistics.fmean(outcome.first_images)),
        wait=spread(lambda outcome: statistics.median(outcome.waits)),
        gpu_hours=spread(lambda outcome: outcome.gpu_hours),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a table tells of some runs, all of them together. Seconds, hours a run, workers."""

    first_image_median: float
    first_image_mean: float
    first_image_p90: float
    wait_median: float
    wait_p90: float
    gpu_hours: float
    needed_gpu_hours: float
    overshoot: float
    undershoot: float

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> "Figures":
        """Over all bursts, all tasks and all runs."""
        first = [seconds for outcome in outcomes for seconds in outcome.first_images]
        waits = [seconds for outcome in outcomes for seconds in outcome.waits]
        return cls(
            first_image_median=statistics.median(first),
            first_image_mean=statistics.fmean(first),
            first_image_p90=percentile(first, 90),
            wait_median=statistics.median(waits),
            wait_p90=percentile(waits, 90),
            gpu_hours=statistics.fmean(outcome.gpu_hours for outcome in outcomes),
            needed_gpu_hours=statistics.fmean(outcome.needed_gpu_hours for outcome in outcomes),
            overshoot=statistics.fmean(outcome.overshoot for outcome in outcomes),
            undershoot=statistics.fmean(outcome.undershoot for outcome in outcomes),
        )


def first_images_after(gap_seconds: float, autoscaler: Autoscaler, seeds: Iterable[int]) -> Spread:
    """Seconds from a burst to its first image, where the burst before came `gap_seconds` earlier."""
    found = []
    for seed in seeds:
        trace = regular_bursts(Random(seed), gap_seconds=gap_seconds, count=2)
        hours = (gap_seconds + 2 * HOUR) / HOUR
        found.append(simulated(trace, autoscaler, World(), seed=seed, hours=hours).first_images[1])
    return spread_of(found)


def blind_decisions(outcome: Outcome) -> int:
    """Changes made while no metric said anything, and removals while any was missing: none may ever be."""
    return sum(
        all(reading is None for reading in decision.readings)
        or (decision.after < decision.before and None in decision.readings)
        for decision in outcome.decisions
    )

"""The tables of docs/operating/autoscaling.md."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from statistics import fmean, median

from benchmarks.autoscaling import cold_start
from benchmarks.autoscaling.autoscalers import OURS, TUTORIAL_KEDA, Autoscaler
from benchmarks.autoscaling.comparison import (
    AUTOSCALERS,
    GAPS_MINUTES,
    PAIRS,
    SCENARIOS,
    Scenario,
    blind_decisions,
    first_image_delays,
    ratios,
    run_scenario,
)
from benchmarks.autoscaling.outcomes import Outcome
from benchmarks.measurement import percentile

SEEDS = range(1, 21)
TARGETS_SECONDS = (30, 60, 120, 220, 300)


def run(*, seeds: Sequence[int] = SEEDS) -> Iterator[str]:
    """Yield the tables of the scenarios, of the gap between bursts, of the target, and of cold starts."""
    for scenario in SCENARIOS:
        yield from _scenario_table(scenario, seeds)
    yield "from a burst to its first image, by the time since the previous burst"
    for minutes in GAPS_MINUTES:
        own = first_image_delays(minutes * 60.0, OURS, seeds)
        other = first_image_delays(minutes * 60.0, TUTORIAL_KEDA, seeds)
        yield f"  {minutes:4} min  {own.format(' s', 0)}  {other.format(' s', 0)}  {own.median / other.median:.2f}"
    yield "effect of the target, in the bursts"
    for target in TARGETS_SECONDS:
        autoscaler = replace(OURS, name=f"target {target} s", target_seconds=float(target))
        yield _row(autoscaler, run_scenario(SCENARIOS[0], autoscaler, seeds))
    yield from cold_start.table(seeds)


def _scenario_table(scenario: Scenario, seeds: Sequence[int]) -> Iterator[str]:
    yield f"{scenario.name}: {scenario.meaning}"
    yield (
        f"  {'':28} first image p50  mean   p90 | task p50   p90 | GPU hours (needed) | overshoot undershoot | "
        "blind decisions"
    )
    outcomes = {each.name: run_scenario(scenario, each, seeds) for each in AUTOSCALERS}
    for each in AUTOSCALERS:
        yield _row(each, outcomes[each.name])
    for own, other in PAIRS:
        found = ratios(outcomes[own.name], outcomes[other.name])
        yield (
            f"  {own.name} / {other.name}: first image {found.first_image.format()}, "
            f"task {found.wait.format()}, GPU hours {found.gpu_hours.format()}"
        )


def _row(autoscaler: Autoscaler, outcomes: Sequence[Outcome]) -> str:
    """Return a row over all bursts, all tasks and all runs. Seconds, hours per run, workers."""
    first_images = [seconds for outcome in outcomes for seconds in outcome.first_images]
    waits = [seconds for outcome in outcomes for seconds in outcome.waits]

    def mean(figure: Callable[[Outcome], float]) -> float:
        return fmean(figure(outcome) for outcome in outcomes)

    return (
        f"  {autoscaler.name:28} {median(first_images):15.0f} {fmean(first_images):5.0f} "
        f"{percentile(first_images, 90):5.0f} | {median(waits):8.0f} {percentile(waits, 90):5.0f} | "
        f"{mean(lambda one: one.gpu_hours):9.1f} {mean(lambda one: one.needed_gpu_hours):8.1f} | "
        f"{mean(lambda one: one.overshoot):9.2f} {mean(lambda one: one.undershoot):10.2f} | "
        f"{sum(map(blind_decisions, outcomes))}"
    )

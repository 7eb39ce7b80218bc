"""The tables of docs/operating/autoscaling.md."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmarks.autoscaling.autoscalers import OURS, TUTORIAL_KEDA, Autoscaler
from benchmarks.autoscaling.comparison import (
    AUTOSCALERS,
    PAIRS,
    SCENARIOS,
    Figures,
    Scenario,
    blind_decisions,
    first_images_after,
    ratios,
    run_scenario,
)
from benchmarks.autoscaling.outcomes import Outcome

SEEDS = range(1, 21)
GAPS_MINUTES = (10, 20, 30, 60, 240)
TARGETS_SECONDS = (30, 60, 120, 220, 300)


def run(*, seeds: Sequence[int] = SEEDS) -> Iterator[str]:
    """Yield the tables: every scenario, then the gap between bursts, then the target."""
    for scenario in SCENARIOS:
        yield from _of_scenario(scenario, seeds)
    yield "from a burst to its first image, by how long ago the burst before came"
    for minutes in GAPS_MINUTES:
        own = first_images_after(minutes * 60.0, OURS, seeds)
        other = first_images_after(minutes * 60.0, TUTORIAL_KEDA, seeds)
        yield f"  {minutes:4} min  {own.said(' s', 0)}  {other.said(' s', 0)}  {own.median / other.median:.2f}"
    yield "what the target buys, in the bursts"
    for target in TARGETS_SECONDS:
        chosen = replace(OURS, name=f"target {target} s", target_seconds=float(target))
        yield _row(chosen, run_scenario(SCENARIOS[0], chosen, seeds))


def _of_scenario(scenario: Scenario, seeds: Sequence[int]) -> Iterator[str]:
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
            f"  {own.name} / {other.name}: first image {found.first_image.said()}, "
            f"task {found.wait.said()}, GPU hours {found.gpu_hours.said()}"
        )


def _row(autoscaler: Autoscaler, outcomes: Sequence[Outcome]) -> str:
    told = Figures.of(outcomes)
    return (
        f"  {autoscaler.name:28} {told.first_image_median:15.0f} {told.first_image_mean:5.0f} "
        f"{told.first_image_p90:5.0f} | {told.wait_median:8.0f} {told.wait_p90:5.0f} | "
        f"{told.gpu_hours:9.1f} {told.needed_gpu_hours:8.1f} | {told.overshoot:9.2f} {told.undershoot:10.2f} | "
        f"{sum(map(blind_decisions, outcomes))}"
    )

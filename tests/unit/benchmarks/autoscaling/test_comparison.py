"""The claims of docs/operating/autoscaling.md, on a few seeds."""

import statistics
from dataclasses import replace
from random import Random

import pytest

from benchmarks.autoscaling.autoscalers import MESSAGES, OURS, TUTORIAL_KEDA, Trigger
from benchmarks.autoscaling.comparison import SCENARIOS, Scenario, blind_decisions, ratios, run_scenario
from benchmarks.autoscaling.outcomes import World, simulate
from benchmarks.autoscaling.traces import HOUR, regular_bursts

SEEDS = range(1, 11)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.mark.parametrize("scenario", [BY_NAME["bursts"], BY_NAME["Spot loss"]], ids=lambda each: each.name)
def test_darkroom_policy_is_faster_at_the_same_cost(scenario: Scenario) -> None:
    own, others = (run_scenario(scenario, each, SEEDS) for each in (OURS, TUTORIAL_KEDA))
    found = ratios(own, others)
    assert found.first_image.median <= 0.6
    assert found.gpu_hours.median <= 1.05
    assert sum(outcome.unfinished for outcome in own) == 0


def test_autoscaler_makes_no_blind_decisions() -> None:
    outcomes = run_scenario(BY_NAME["missing metrics"], OURS, range(1, 6))
    assert sum(len(outcome.decisions) for outcome in outcomes) > 50
    assert sum(map(blind_decisions, outcomes)) == 0


def test_message_count_scales_out_without_the_demand_metric() -> None:
    trace = regular_bursts(Random(1), gap_seconds=HOUR, count=1)
    cut_off = World(demand_outages=((0.0, 10 * HOUR),))
    outcome = simulate(trace, OURS, cut_off, seed=1, hours=3)
    assert outcome.unfinished == 0
    replicas = [sample.replicas for sample in outcome.fleet]
    assert replicas[-1] == max(replicas) > 1  # without the figure it never scales down
    without_net = replace(OURS, triggers=OURS.triggers[:1])
    assert simulate(trace, without_net, cut_off, seed=1, hours=3).unfinished == len(trace)


def test_fleet_scales_from_zero_and_back() -> None:
    trace = regular_bursts(Random(2), gap_seconds=HOUR, count=1)
    outcome = simulate(trace, OURS, World(), seed=2, hours=3)
    assert outcome.fleet[0].replicas == 0
    assert max(sample.ready for sample in outcome.fleet) > 3
    assert outcome.fleet[-1].replicas == 0
    assert outcome.busy_removed == 0


def test_larger_target_uses_fewer_gpu_hours() -> None:
    hours = [
        statistics.fmean(
            outcome.gpu_hours for outcome in run_scenario(BY_NAME["bursts"], chosen, range(1, 4))
        )
        for chosen in (replace(OURS, target_seconds=60.0), OURS, replace(OURS, target_seconds=400.0))
    ]
    assert hours[0] > hours[1] > hours[2]


def test_simulation_is_deterministic() -> None:
    messages = replace(TUTORIAL_KEDA, triggers=(Trigger(MESSAGES, 2.0),))
    first, again = (run_scenario(BY_NAME["bursts"], messages, [7]) for _ in range(2))
    assert first == again

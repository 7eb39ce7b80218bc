"""The simulated HPA does what Kubernetes documents."""

import pytest

from benchmarks.autoscaling.hpa import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    HorizontalPodAutoscaler,
    RatePolicy,
    Reading,
    ScalingRules,
    Unit,
)


def hpa(
    scale_up: ScalingRules = DEFAULT_SCALE_UP, scale_down: ScalingRules = DEFAULT_SCALE_DOWN
) -> HorizontalPodAutoscaler:
    return HorizontalPodAutoscaler(min_replicas=1, max_replicas=20, scale_up=scale_up, scale_down=scale_down)


@pytest.mark.parametrize(("total", "desired_replicas"), [(40.0, 4), (41.0, 5), (1.0, 1)])
def test_hpa_rounds_total_over_target_up(total: float, desired_replicas: int) -> None:
    free = ScalingRules(stabilization_seconds=0, policies=(RatePolicy(Unit.PODS, 100, 15),))
    assert (
        hpa(scale_up=free, scale_down=free).desired_replicas(0, 10, [Reading(total, 10.0)])
        == desired_replicas
    )


def test_hpa_makes_no_change_within_the_tolerance() -> None:
    assert hpa().desired_replicas(0, 10, [Reading(109.0, 10.0)]) is None
    assert hpa().desired_replicas(0, 10, [Reading(112.0, 10.0)]) == 12


def test_hpa_uses_the_largest_proposal() -> None:
    assert hpa().desired_replicas(0, 2, [Reading(3.0, 1.0), Reading(50.0, 10.0)]) == 5


def test_hpa_only_scales_out_when_a_metric_is_missing() -> None:
    assert hpa().desired_replicas(0, 2, [Reading(None, 1.0), Reading(3.0, 1.0)]) == 3
    down = ScalingRules(stabilization_seconds=0, policies=(RatePolicy(Unit.PERCENT, 100, 15),))
    assert hpa(scale_down=down).desired_replicas(0, 8, [Reading(None, 1.0), Reading(3.0, 1.0)]) is None
    assert hpa(scale_down=down).desired_replicas(0, 8, [Reading(None, 1.0)]) is None


def test_hpa_scales_up_within_its_rate_limit() -> None:
    default = hpa()
    assert default.desired_replicas(0, 1, [Reading(20.0, 1.0)]) == 5
    assert default.desired_replicas(14, 5, [Reading(20.0, 1.0)]) is None
    assert default.desired_replicas(15, 5, [Reading(20.0, 1.0)]) == 10


def test_hpa_scales_down_to_the_recent_maximum() -> None:
    default = hpa()
    assert default.desired_replicas(0, 10, [Reading(10.0, 1.0)]) is None
    assert default.desired_replicas(15, 10, [Reading(6.0, 1.0)]) is None
    assert default.desired_replicas(300, 10, [Reading(2.0, 1.0)]) == 6
    assert default.desired_replicas(315, 6, [Reading(2.0, 1.0)]) == 2

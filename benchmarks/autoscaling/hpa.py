"""The HorizontalPodAutoscaler's arithmetic, as published by Kubernetes.

Sources: kubernetes/kubernetes, pkg/controller/podautoscaler. `replica_calculator.go`:
GetExternalPerPodMetricReplicas. `horizontal.go`: computeReplicasForMetrics,
stabilizeRecommendationWithBehaviors, convertDesiredReplicasWithBehaviorRate.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

SYNC_SECONDS = 15.0
"""`--horizontal-pod-autoscaler-sync-period`."""
TOLERANCE = 0.1
"""`--horizontal-pod-autoscaler-tolerance`."""


class Unit(StrEnum):
    PODS = "Pods"
    PERCENT = "Percent"


@dataclass(frozen=True, slots=True)
class RatePolicy:
    """At most `value` pods, or percent of the pods, within `period_seconds`."""

    unit: Unit
    value: int
    period_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingRules:
    """One direction of `behavior`. The most permissive policy applies (`selectPolicy: Max`)."""

    stabilization_seconds: float
    policies: tuple[RatePolicy, ...]


DEFAULT_SCALE_UP = ScalingRules(
    stabilization_seconds=0.0,
    policies=(RatePolicy(Unit.PODS, 4, 15.0), RatePolicy(Unit.PERCENT, 100, 15.0)),
)
DEFAULT_SCALE_DOWN = ScalingRules(
    stabilization_seconds=300.0, policies=(RatePolicy(Unit.PERCENT, 100, 15.0),)
)


@dataclass(frozen=True, slots=True)
class Reading:
    """An external metric: its total (None if missing) and its target AverageValue."""

    total: float | None
    target: float


@dataclass(slots=True, kw_only=True)
class HorizontalPodAutoscaler:
    """One HPA with its state; call `desired_replicas` at each sync."""

    min_replicas: int
    max_replicas: int
    scale_up: ScalingRules = DEFAULT_SCALE_UP
    scale_down: ScalingRules = DEFAULT_SCALE_DOWN
    _recommended: list[tuple[float, int]] = field(default_factory=list)
    _changes: list[tuple[float, int]] = field(default_factory=list)

    def desired_replicas(self, now: float, current: int, readings: Sequence[Reading]) -> int | None:
        """Return the replicas to set at this sync; None for no change or without metrics."""
        proposed = self._proposed(current, readings)
        if proposed is None:
            return None
        stabilized = self._stabilized(now, current, proposed)
        limited = self._rate_limited(now, current, stabilized)
        if limited == current:
            return None
        self._changes.append((now, limited - current))
        return limited

    def _proposed(self, current: int, readings: Sequence[Reading]) -> int | None:
        proposals = [
            _replicas_for(current, reading.total, reading.target)
            for reading in readings
            if reading.total is not None
        ]
        # A missing metric may hide work: the others may scale out, but never in.
        if not proposals or (len(proposals) < len(readings) and max(proposals) < current):
            return None
        return max(proposals)

    def _stabilized(self, now: float, current: int, proposed: int) -> int:
        self._recommended = [
            (at, replicas)
            for at, replicas in self._recommended
            if at > now - max(self.scale_up.stabilization_seconds, self.scale_down.stabilization_seconds)
        ]
        least = self._extreme_since(now - self.scale_up.stabilization_seconds, proposed, min)
        most = self._extreme_since(now - self.scale_down.stabilization_seconds, proposed, max)
        self._recommended.append((now, proposed))
        return min(max(current, least), most)

    def _extreme_since(self, since: float, proposed: int, pick: Callable[[list[int]], int]) -> int:
        return pick([proposed, *(replicas for at, replicas in self._recommended if at > since)])

    def _rate_limited(self, now: float, current: int, stabilized: int) -> int:
        if stabilized > current:
            limits = [self._upper(now, current, policy) for policy in self.scale_up.policies]
            return min(stabilized, max(*limits, current), self.max_replicas)
        if stabilized < current:
            limits = [self._lower(now, current, policy) for policy in self.scale_down.policies]
            return max(stabilized, min(*limits, current), self.min_replicas)
        return min(max(current, self.min_replicas), self.max_replicas)

    def _upper(self, now: float, current: int, policy: RatePolicy) -> int:
        start = self._replicas_at_start(now, current, policy)
        if policy.unit is Unit.PODS:
            return start + policy.value
        return math.ceil(start * (1 + policy.value / 100))

    def _lower(self, now: float, current: int, policy: RatePolicy) -> int:
        start = self._replicas_at_start(now, current, policy)
        if policy.unit is Unit.PODS:
            return start - policy.value
        return int(start * (1 - policy.value / 100))

    def _replicas_at_start(self, now: float, current: int, policy: RatePolicy) -> int:
        return current - sum(change for at, change in self._changes if at > now - policy.period_seconds)


def _replicas_for(current: int, total: float, target: float) -> int:
    if current and abs(total / (target * current) - 1.0) <= TOLERANCE:
        return current
    return math.ceil(total / target)

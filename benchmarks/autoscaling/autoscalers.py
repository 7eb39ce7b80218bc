"""The compared autoscalers with their configuration, and their control loops.

KEDA's part (activation, cooldown, errors) follows kedacore/keda,
pkg/scaling/executor/scale_scaledobjects.go.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.autoscaling.cluster import Cluster, Process
from benchmarks.autoscaling.hpa import (
    DEFAULT_SCALE_DOWN,
    DEFAULT_SCALE_UP,
    SYNC_SECONDS,
    HorizontalPodAutoscaler,
    RatePolicy,
    Reading,
    ScalingRules,
    Unit,
)
from benchmarks.autoscaling.signals import Signal
from frontend_api.autoscaling.policy import TARGET_SECONDS

DEMAND, MESSAGES = "demand", "messages"


@dataclass(frozen=True, slots=True)
class Trigger:
    signal: str
    target: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaler:
    """A ScaledObject; with `min_replicas` above zero KEDA is inactive and it is a plain HPA."""

    name: str
    triggers: tuple[Trigger, ...]
    min_replicas: int = 0
    max_replicas: int = 20
    polling_seconds: float = 30.0
    cooldown_seconds: float = 300.0
    scale_up: ScalingRules = DEFAULT_SCALE_UP
    scale_down: ScalingRules = DEFAULT_SCALE_DOWN
    target_seconds: float = TARGET_SECONDS
    """The API's `target_seconds`; only the darkroom autoscaler uses it."""


OURS = Autoscaler(
    name="darkroom",
    triggers=(Trigger(DEMAND, 1.0), Trigger(MESSAGES, 50.0)),
    polling_seconds=10.0,
    cooldown_seconds=1_800.0,
    scale_up=ScalingRules(stabilization_seconds=0.0, policies=(RatePolicy(Unit.PODS, 100, 15.0),)),
    scale_down=ScalingRules(stabilization_seconds=60.0, policies=(RatePolicy(Unit.PERCENT, 100, 15.0),)),
)
"""The same values as the ScaledObject in gpu_subscriber/k8s."""

TUTORIAL_HPA = Autoscaler(name="GKE's HPA tutorial", triggers=(Trigger(MESSAGES, 2.0),), min_replicas=1)
"""cloud.google.com/kubernetes-engine/docs/tutorials/autoscaling-metrics: averageValue 2, minReplicas 1."""
TUTORIAL_KEDA = Autoscaler(
    name="GKE's scale-to-zero tutorial",
    triggers=(Trigger(MESSAGES, 10.0),),
    polling_seconds=5.0,
    cooldown_seconds=10.0,
)
"""cloud.google.com/kubernetes-engine/docs/tutorials/scale-to-zero-using-keda: pollingInterval 5,
cooldownPeriod 10, and the scaler's default of 10 messages a pod."""


@dataclass(slots=True)
class Decision:
    """A change of the number of replicas, and the metrics at that time."""

    at: float
    before: int
    after: int
    readings: tuple[float | None, ...]


@dataclass(slots=True)
class Controller:
    cluster: Cluster
    autoscaler: Autoscaler
    signals: Mapping[str, Signal]
    decisions: list[Decision] = field(default_factory=list)
    _last_active: float = 0.0

    def start(self, *, offset_seconds: float) -> None:
        """Start both loops; `offset_seconds` is the first one's phase."""
        self.cluster.set_replicas(self.autoscaler.min_replicas)
        self.cluster.env.process(self._hpa(offset_seconds))
        if self.autoscaler.min_replicas == 0:
            self.cluster.env.process(self._keda(offset_seconds))

    def _readings(self) -> tuple[float | None, ...]:
        return tuple(self.signals[trigger.signal]() for trigger in self.autoscaler.triggers)

    def _keda(self, offset_seconds: float) -> Process:
        yield self.cluster.env.timeout(offset_seconds % self.autoscaler.polling_seconds)
        while True:
            self._activate_or_deactivate(self._readings())
            yield self.cluster.env.timeout(self.autoscaler.polling_seconds)

    def _activate_or_deactivate(self, readings: Sequence[float | None]) -> None:
        now, replicas = self.cluster.env.now, self.cluster.replicas
        active = any(value is not None and value > 0 for value in readings)
        failing = None in readings
        if active and replicas == 0:
            self._set(1, readings)
            self._last_active = now
        elif active and not failing:
            self._last_active = now
        elif (
            not active
            and not failing
            and replicas
            and now - self._last_active > self.autoscaler.cooldown_seconds
        ):
            self._set(0, readings)

    def _hpa(self, offset_seconds: float) -> Process:
        rules = self.autoscaler
        hpa = HorizontalPodAutoscaler(
            min_replicas=max(1, rules.min_replicas),
            max_replicas=rules.max_replicas,
            scale_up=rules.scale_up,
            scale_down=rules.scale_down,
        )
        yield self.cluster.env.timeout(offset_seconds % SYNC_SECONDS)
        while True:
            if self.cluster.replicas:
                readings = self._readings()
                values = [
                    Reading(value, trigger.target)
                    for value, trigger in zip(readings, rules.triggers, strict=True)
                ]
                replicas = hpa.desired_replicas(self.cluster.env.now, self.cluster.replicas, values)
                if replicas is not None:
                    self._set(replicas, readings)
            yield self.cluster.env.timeout(SYNC_SECONDS)

    def _set(self, replicas: int, readings: Sequence[float | None]) -> None:
        decision = Decision(self.cluster.env.now, self.cluster.replicas, replicas, tuple(readings))
        self.decisions.append(decision)
        self.cluster.set_replicas(replicas)

"""Set the size of a pool of workers by its demand: one step, which a scheduler repeats."""

import math
from dataclasses import dataclass

import structlog

from common.domain.errors import DependencyUnavailableError
from common.observability.metrics import POOL_UPDATES, counter
from common.ports import Clock
from frontend_api.autoscaling.demand import ReadFleetDemand
from frontend_api.autoscaling.policy import TARGET_SECONDS
from frontend_api.autoscaling.pool_size import PoolLimits, pool_size
from frontend_api.autoscaling.ports import DemandHistory, DemandSample, WorkerPool

_log = structlog.get_logger(__name__)
_updates = counter(POOL_UPDATES)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolChange:
    """The number of instances before and after a step, and the demand."""

    before: int
    after: int
    workers: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedPool:
    """A pool whose size the API sets, and the models that it serves."""

    name: str
    models: tuple[str, ...]
    limits: PoolLimits
    workers: WorkerPool
    target_seconds: float = TARGET_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalePool:
    """Safe to call at any time, also in parallel."""

    managed: ManagedPool
    history: DemandHistory
    read_demand: ReadFleetDemand
    clock: Clock

    def __call__(self) -> PoolChange:
        """Read the demand and set the number of instances.

        Without a demand the number stays as it is. Raises DependencyUnavailableError.
        """
        try:
            change = self._change()
        except DependencyUnavailableError:
            _updates.add(1, {"outcome": "failed"})
            raise
        _updates.add(1, {"outcome": _outcome(change)})
        if change.after != change.before:
            _log.info("worker_pool_scaled", pool=self.managed.name, before=change.before, after=change.after)
        return change

    def _change(self) -> PoolChange:
        managed = self.managed
        demand = self.read_demand(managed.models, target_seconds=managed.target_seconds)
        now = self.clock.now()
        samples = self.history.add(
            managed.name,
            DemandSample(at=now, workers=math.ceil(demand.workers)),
            keep_for=managed.limits.remove_last_after * 2,
        )
        before = managed.workers.instances()
        after = pool_size(before, samples, managed.limits, now=now)
        if after != before:
            managed.workers.set_instances(after)
        return PoolChange(before=before, after=after, workers=demand.workers)


def _outcome(change: PoolChange) -> str:
    if change.after == change.before:
        return "unchanged"
    return "grown" if change.after > change.before else "shrunk"

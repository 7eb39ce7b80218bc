"""Read how many workers a pool needs: applies the policy of `fleet_demand` to the workload."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.domain.errors import DependencyUnavailableError
from common.domain.models.catalog import ModelCatalog
from common.ports import Clock
from frontend_api.autoscaling.policy import workers_demanded
from frontend_api.estimates.workload import Workload
from frontend_api.estimates.workload_cache import WorkloadCache

_USABLE_FOR = timedelta(seconds=30)
"""Maximum age of a workload.

Without an answer the fleet stays as it is; an outdated answer could shrink it wrongly.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDemand:
    as_of: datetime
    workers: float
    """Number of workers, to be rounded up."""
    gpu_seconds: float | None
    """Time that one worker needs for all unfinished tasks; None if a model's times are unknown."""
    tasks: int
    """Number of unfinished tasks."""
    busy_workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFleetDemand:
    catalog: ModelCatalog
    workload_cache: WorkloadCache
    clock: Clock

    def __call__(self, models: Collection[str], *, target_seconds: float) -> FleetDemand:
        """Compute the demand of a pool that serves these models; without names, all models.

        Raises UnknownModelError, and DependencyUnavailableError also for an outdated workload.
        """
        chosen = tuple(self.catalog.get(name).name for name in models) or tuple(
            spec.name for spec in self.catalog.models
        )
        workload = self.workload_cache()
        if self.clock.now() - workload.as_of > _USABLE_FOR:
            raise DependencyUnavailableError("firestore", "did not answer: the last workload is too old")
        return _demand(workload, frozenset(chosen), target_seconds)


def _demand(workload: Workload, models: frozenset[str], target_seconds: float) -> FleetDemand:
    backlogs = [workload.backlog_of(model) for model in models]
    drawn = sum(backlog.all_processing.tasks for backlog in backlogs)
    tasks = drawn + sum(backlog.all_queued.tasks for backlog in backlogs)
    serving = sum(not models.isdisjoint(worker.served_models) for worker in workload.workers)
    each = [workload.gpu_seconds_left(model) for model in models]
    # A model without measurements counts as one worker, which measures it during warm-up.
    assumed = sum(target_seconds if seconds is None else seconds for seconds in each)
    busy_workers = min(drawn, serving)
    return FleetDemand(
        as_of=workload.as_of,
        workers=workers_demanded(
            gpu_seconds=assumed, tasks=tasks, busy_workers=busy_workers, target_seconds=target_seconds
        ),
        gpu_seconds=None if None in each else assumed,
        tasks=tasks,
        busy_workers=busy_workers,
    )

"""Read how many workers a pool should have: the workload, put through the policy of `fleet_demand`."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.domain.errors import DependencyUnavailableError
from common.domain.model_catalog import ModelCatalog
from common.ports import Clock
from frontend_api.fleet_demand import workers_demanded
from frontend_api.read_workload import ReadWorkload
from frontend_api.workload import Workload

_USABLE_FOR = timedelta(seconds=30)
"""An older workload decides nothing: no answer keeps the fleet as it is, an outdated one may take it apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetDemand:
    """What the tasks of some models ask of the workers that serve them."""

    as_of: datetime
    workers: float
    """How many there should be, to be rounded up."""
    gpu_seconds: float | None
    """How long one would draw at all that has not ended; None while nobody knows what one of the models takes."""
    tasks: int
    """How many have not ended."""
    busy_workers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadFleetDemand:
    """The use case."""

    catalog: ModelCatalog
    read_workload: ReadWorkload
    clock: Clock

    def __call__(self, models: Collection[str], *, target_seconds: float) -> FleetDemand:
        """The demand of a pool that serves these models; of none named, all.

        Raises UnknownModelError, and DependencyUnavailableError also where the workload is older than 30 seconds.
        """
        chosen = tuple(self.catalog.get(name).name for name in models) or tuple(
            spec.name for spec in self.catalog.models
        )
        workload = self.read_workload()
        if self.clock.now() - workload.as_of > _USABLE_FOR:
            raise DependencyUnavailableError("firestore", "the workload is too old to go by")
        return _demand(workload, frozenset(chosen), target_seconds)


def _demand(workload: Workload, models: frozenset[str], target_seconds: float) -> FleetDemand:
    backlogs = [workload.backlog_of(model) for model in models]
    drawn = sum(backlog.all_processing.tasks for backlog in backlogs)
    tasks = drawn + sum(backlog.all_queued.tasks for backlog in backlogs)
    serving = sum(not models.isdisjoint(worker.served_models) for worker in workload.workers)
    each = [workload.gpu_seconds_left(model) for model in models]
    # What nobody has measured is worth one worker: it measures while it warms up.
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

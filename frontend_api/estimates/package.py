"""The package as one record, built from its ports."""

from dataclasses import dataclass
from typing import Self

from common.domain.models.catalog import ModelCatalog
from common.ports import Clock, WorkerReports
from frontend_api.estimates.estimator import TaskEstimator
from frontend_api.estimates.workload_cache import WorkloadCache
from frontend_api.stats.ports import TaskStats


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    workload_cache: WorkloadCache
    estimator: TaskEstimator

    @classmethod
    def build(cls, *, catalog: ModelCatalog, stats: TaskStats, reports: WorkerReports, clock: Clock) -> Self:
        workload_cache = WorkloadCache(catalog=catalog, stats=stats, reports=reports, clock=clock)
        return cls(
            workload_cache=workload_cache,
            estimator=TaskEstimator(workload_cache=workload_cache, stats=stats, clock=clock),
        )

"""The package as one record."""

from dataclasses import dataclass

from frontend_api.estimates.estimator import TaskEstimator
from frontend_api.estimates.workload_cache import WorkloadCache


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimates:
    workload_cache: WorkloadCache
    estimator: TaskEstimator

"""InMemoryWorkerPool and InMemoryDemandHistory: a pool's size and its demand in variables."""

from datetime import timedelta

from frontend_api.autoscaling.ports import DemandSample
from tests.fakes.outage import Outage


class InMemoryWorkerPool(Outage):
    def __init__(self, instances: int = 0) -> None:
        self._instances = instances
        self.changes: list[int] = []

    def instances(self) -> int:
        self._check()
        return self._instances

    def set_instances(self, count: int) -> None:
        self._check()
        self._instances = count
        self.changes.append(count)


class InMemoryDemandHistory(Outage):
    def __init__(self) -> None:
        self._samples: dict[str, tuple[DemandSample, ...]] = {}

    def add(self, pool: str, sample: DemandSample, *, keep_for: timedelta) -> tuple[DemandSample, ...]:
        self._check()
        kept = (each for each in self._samples.get(pool, ()) if sample.at - keep_for <= each.at < sample.at)
        self._samples[pool] = (*kept, sample)
        return self._samples[pool]

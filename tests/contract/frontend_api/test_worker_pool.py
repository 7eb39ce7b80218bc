"""The WorkerPool on the fake and on a server with Cloud Run's API, and the DemandHistory on fake and emulator."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import requests
from google.cloud.firestore import Client

from common.domain.errors import DependencyUnavailableError
from frontend_api.adapters.cloud_run_worker_pool import CloudRunWorkerPool
from frontend_api.adapters.firestore.demand_history import FirestoreDemandHistory
from frontend_api.autoscaling.ports import DemandHistory, DemandSample, WorkerPool
from local_stack.loopback import free_port
from tests.contract.outages import assert_each_raises_unavailable
from tests.fakes.cloud_run_api import POOL, TOKEN, CloudRun, cloud_run_api
from tests.fakes.in_memory_worker_pool import InMemoryDemandHistory, InMemoryWorkerPool

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def cloud_run() -> Iterator[CloudRun]:
    with cloud_run_api() as state:
        yield state


def adapter(address: str, *, name: str = POOL, token: str = TOKEN) -> CloudRunWorkerPool:
    session = requests.Session()
    session.trust_env = False
    session.headers["Authorization"] = f"Bearer {token}"
    return CloudRunWorkerPool(name, session=session, api=address)


@pytest.fixture(params=["fake", "server"])
def pool(request: pytest.FixtureRequest, cloud_run: CloudRun) -> WorkerPool:
    cloud_run.scaling = {"scalingMode": "MANUAL"}
    return InMemoryWorkerPool() if request.param == "fake" else adapter(cloud_run.address)


def test_pool_has_the_instances_that_were_set_last(pool: WorkerPool) -> None:
    assert pool.instances() == 0
    for count in (3, 1, 0):
        pool.set_instances(count)
        assert pool.instances() == count


def test_change_of_the_size_leaves_the_template(cloud_run: CloudRun) -> None:
    before = dict(cloud_run.template)
    adapter(cloud_run.address).set_instances(2)
    assert (cloud_run.template, cloud_run.scaling["scalingMode"]) == (before, "MANUAL")


def test_refusals_are_dependency_unavailable(cloud_run: CloudRun) -> None:
    with pytest.raises(DependencyUnavailableError, match="cloud_run answered 401"):
        adapter(cloud_run.address, token="expired").instances()
    with pytest.raises(DependencyUnavailableError, match="cloud_run answered 403"):
        adapter(cloud_run.address, name=f"{POOL}-of-others").set_instances(1)
    cloud_run.operation_error = {"code": 8, "message": "Quota exceeded for GPUs"}
    with pytest.raises(DependencyUnavailableError, match="cloud_run Quota exceeded for GPUs"):
        adapter(cloud_run.address).set_instances(1)
    cloud_run.operation_error = None


def test_pool_raises_when_cloud_run_is_unreachable() -> None:
    unreachable = adapter(f"http://127.0.0.1:{free_port()}")
    fake = InMemoryWorkerPool()
    fake.unavailable = True
    assert_each_raises_unavailable(
        unreachable.instances,
        lambda: unreachable.set_instances(1),
        fake.instances,
        lambda: fake.set_instances(1),
    )


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def history(request: pytest.FixtureRequest) -> DemandHistory:
    if request.param == "fake":
        return InMemoryDemandHistory()
    return FirestoreDemandHistory(request.getfixturevalue("firestore"), timeout_seconds=10)


def sample(minute: int, workers: int = 1) -> DemandSample:
    return DemandSample(at=NOW + timedelta(minutes=minute), workers=workers)


def test_history_returns_the_samples_of_its_time_by_pool(history: DemandHistory) -> None:
    assert history.add("a", sample(0, 3), keep_for=HOUR) == (sample(0, 3),)
    assert history.add("a", sample(1, 2), keep_for=HOUR) == (sample(0, 3), sample(1, 2))
    assert history.add("b", sample(1, 7), keep_for=HOUR) == (sample(1, 7),)
    assert history.add("a", sample(61, 0), keep_for=HOUR) == (sample(1, 2), sample(61, 0))


def test_history_raises_when_firestore_is_unreachable(unreachable_firestore: Client) -> None:
    fake = InMemoryDemandHistory()
    fake.unavailable = True
    stored = FirestoreDemandHistory(unreachable_firestore, timeout_seconds=0.5)
    assert_each_raises_unavailable(
        lambda: fake.add("a", sample(0), keep_for=HOUR), lambda: stored.add("a", sample(0), keep_for=HOUR)
    )

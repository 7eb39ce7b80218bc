"""POST /internal/scale-workers: the scheduler's step sets the size of Cloud Run's pool by the demand."""

from pathlib import Path

import pytest

from frontend_api.autoscaling.pool_size import PoolLimits
from frontend_api.autoscaling.scale_pool import ManagedPool
from tests.factories import parameters
from tests.fakes.in_memory_worker_pool import InMemoryWorkerPool
from tests.unit.frontend_api.conftest import INTERNAL_TOKEN, Api

BY_SCHEDULER = {"Authorization": f"Bearer {INTERNAL_TOKEN}"}


@pytest.fixture
def workers() -> InMemoryWorkerPool:
    return InMemoryWorkerPool()


@pytest.fixture
def scaled(tmp_path: Path, workers: InMemoryWorkerPool) -> Api:
    limits = PoolLimits(min_instances=0, max_instances=3)
    pool = ManagedPool(name="darkroom-worker", models=("demo",), limits=limits, workers=workers)
    return Api(folder=tmp_path, managed_pool=pool)


def step(api: Api) -> tuple[int, dict[str, object]]:
    response = api.client.post("/internal/scale-workers", headers=BY_SCHEDULER)
    return response.status_code, response.get_json()


def test_pool_grows_with_a_task_and_is_empty_half_an_hour_after_it(
    scaled: Api, workers: InMemoryWorkerPool
) -> None:
    assert step(scaled) == (200, {"before": 0, "after": 0, "workers": 0})
    task = scaled.stored_task(parameters=parameters())
    scaled.clock.advance(3)
    assert step(scaled) == (200, {"before": 0, "after": 1, "workers": 1})
    scaled.store.update(task.id, lambda stored: stored.cancelled(scaled.clock.now()))
    for _minute in range(32):
        scaled.clock.advance(60)
        assert step(scaled)[0] == 200
    assert workers.changes == [1, 0]


def test_pool_keeps_its_size_when_the_demand_or_cloud_run_is_unavailable(
    scaled: Api, workers: InMemoryWorkerPool
) -> None:
    workers.set_instances(2)
    for outage in (scaled.stats, scaled.demand_history, workers):
        scaled.clock.advance(60)
        outage.unavailable = True
        assert step(scaled)[0] == 503
        outage.unavailable = False
    assert workers.changes == [2]


def test_scheduler_needs_its_token(scaled: Api) -> None:
    assert scaled.client.post("/internal/scale-workers").status_code == 401


def test_api_without_a_pool_responds_404(api: Api) -> None:
    status, problem = step(api)
    assert (status, problem["code"]) == (404, "not_found")
    assert "DARKROOM_CLOUD_RUN_WORKERS" in str(problem["detail"])

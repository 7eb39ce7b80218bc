"""The autoscaling metric from a running system: real tasks, a real worker's measured times."""

from collections.abc import Callable
from typing import Any

import pytest
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from tests.system.conftest import System

pytestmark = pytest.mark.end_to_end


def test_demand_rises_with_tasks_and_requires_the_token(system: System) -> None:
    http = system.client.http
    assert http.get("/internal/autoscaling").status_code == 401
    guessed = {"Authorization": "Bearer guessed"}
    assert http.get("/internal/autoscaling", headers=guessed).status_code == 401

    by_token = {"Authorization": f"Bearer {system.stack.environment['DARKROOM_INTERNAL_TOKEN']}"}
    address = "/internal/autoscaling?models=demo&target_seconds=10"
    before = http.get(address, headers=by_token).json()
    with system.held_engine():
        submitted = [system.client.submit("a large red circle", steps=100) for _ in range(8)]
        demand = _asked_until(lambda: http.get(address, headers=by_token).json(), tasks=len(submitted))
        for task_id in submitted:
            http.post(f"/v1/tasks/{task_id}/cancel")
    assert demand["gpu_seconds"] > before["gpu_seconds"]
    assert 1 <= demand["workers"] <= demand["tasks"]
    system.client.wait_for_all(submitted)


def _asked_until(ask: Callable[[], dict[str, Any]], *, tasks: int) -> dict[str, Any]:
    """Return the first answer that includes this many tasks: measurements are cached for two
    seconds.
    """
    asking = Retrying(
        retry=retry_if_result(lambda demand: demand["tasks"] < tasks),
        wait=wait_fixed(0.2),
        stop=stop_after_delay(60),
    )
    return asking(ask)

"""A program with an API key, from creating the key to its usage report, over HTTP only."""

import re
import uuid
from contextlib import ExitStack

import httpx
import pytest

from frontend_api.identity.emulator_tokens import unsigned_token
from tests.chaos.waiting import wait_for
from tests.system.conftest import System

pytestmark = pytest.mark.end_to_end


def test_api_key_is_limited_to_its_scopes_and_usage_is_shown(system: System) -> None:
    url, project = system.client.http.base_url, system.stack.environment["DARKROOM_PROJECT_ID"]
    token = unsigned_token(f"owner-{uuid.uuid4().hex}", project_id=project)
    with ExitStack() as exits:
        by_token = {"Authorization": f"Bearer {token}"}
        owner = exits.enter_context(httpx.Client(base_url=url, headers=by_token, timeout=30))
        made = owner.post("/v1/keys", json={"name": "nightly", "scopes": ["read", "submit"]}).json()
        by_key = {"X-API-Key": made["key"]}
        program = exits.enter_context(httpx.Client(base_url=url, headers=by_key, timeout=30))

        accepted = program.post("/v1/tasks", json={"prompt": "a small blue square", "steps": 4})
        assert accepted.status_code == 202
        limits = ", ".join(
            (
                r'"requests";r=\d+;t=\d+',
                r'"submissions";r=\d+;t=\d+',
                r'"refused-submissions";r=\d+;t=\d+',
                r'"active-tasks";r=\d+',
            )
        )
        assert re.fullmatch(limits, accepted.headers["RateLimit"])
        task_id = accepted.json()["id"]
        system.client.wait_for_end(task_id)

        task = program.get(f"/v1/tasks/{task_id}").json()
        assert (task["status"], owner.get(f"/v1/tasks/{task_id}").json()["id"]) == ("completed", task_id)
        assert system.client.http.get(f"/v1/tasks/{task_id}").status_code == 404  # another caller
        total = owner.get("/v1/usage").json()["total"]
        assert total["tasks"] == 1
        assert 0 < total["gpu_seconds"] == pytest.approx(task["metrics"]["gpu_seconds"], abs=0.001)
        # Measurements are cached for seconds.
        wait_for(lambda: program.get("/v1/queue").json()["completed_per_minute"] > 0, "the completion")

        assert program.delete(f"/v1/tasks/{task_id}").status_code == 204
        assert owner.get("/v1/usage").json()["total"] == total

        assert program.get("/v1/keys").status_code == 403
        assert owner.delete(f"/v1/keys/{made['id']}").status_code == 204
        assert program.get(f"/v1/tasks/{task_id}").status_code == 401

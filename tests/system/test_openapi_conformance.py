"""schemathesis sends requests that the OpenAPI document permits or forbids, and checks the
responses against it.
"""

import os
import subprocess
import sys
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from frontend_api.adapters.google_tokens import FirebaseAuthenticator
from frontend_api.api_keys.api_keys import ApiKeys
from frontend_api.identity.allowed_users import AllowedUsers
from frontend_api.identity.emulator_tokens import unsigned_token
from frontend_api.identity.ports import Principal, Scope
from tests.system.conftest import StartSystem
from tests.unit.darkroom.conftest import served
from tests.unit.frontend_api.conftest import INTERNAL_TOKEN, Api

pytestmark = pytest.mark.end_to_end
SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SMALL = {"steps": 1, "width": 64, "height": 64}


def ask_everything(url: str, *options: str, shows: str, folder: Path, **named: str) -> None:
    """Send all requests and run all checks. Failures are in the assertion message."""
    done = subprocess.run(
        [
            *(SCHEMATHESIS, "--config-file", CONFIGURATION, "run", f"{url}/openapi.json"),
            *("--checks", "all", "--continue-on-failure", "--no-color", "--header", shows, *options),
        ],
        cwd=folder,
        env={**os.environ, **named},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-2_000:]}"


def test_responses_match_the_openapi_document(start_system: StartSystem, tmp_path: Path) -> None:
    settings = {"DARKROOM_STREAM_HEARTBEAT_SECONDS": "0.5", "DARKROOM_OPENAI_WAIT_SECONDS": "0.5"}
    system = start_system(workers=0, extra_environment=settings)
    environment = system.stack.environment
    token = unsigned_token("anybody", project_id=environment["DARKROOM_PROJECT_ID"])
    system.client.http.headers["Authorization"] = f"Bearer {token}"
    task_id = system.client.submit("a large red circle", **SMALL)
    system.client.http.post(f"/v1/tasks/{task_id}/cancel").raise_for_status()
    assert system.stack.page_url is not None
    ask_everything(
        system.stack.page_url.rstrip("/"),
        # The local stack accepts requests without credentials; the document describes the cloud.
        "--exclude-checks=ignored_auth",
        shows=f"Authorization: Bearer {token}",
        folder=tmp_path,
        ENDED_TASK=task_id,
        INTERNAL_TOKEN=environment["DARKROOM_INTERNAL_TOKEN"],
    )


def test_secured_operations_reject_requests_without_credentials(tmp_path: Path) -> None:
    people = FirebaseAuthenticator(project_id="darkroom", allowed=AllowedUsers(everyone=True))
    api = Api(
        folder=tmp_path,
        people=people,
        heartbeat_seconds=0.5,
        openai_wait_seconds=0.5,
        max_waiting=100,
        max_waiting_per_caller=100,
    )
    key = (
        ApiKeys(store=api.api_keys, clock=api.clock)
        .create(
            Principal(user_id="ada"),
            name="everything",
            scopes=frozenset(Scope),
            good_for=timedelta(days=1),
        )
        .key
    )
    with contextmanager(served)(api.app) as url:
        ask_everything(
            url,
            # The other test creates, uses and deletes resources. Here this could revoke the key in
            # use.
            "--phases=examples,coverage",
            shows=f"X-API-Key: {key}",
            folder=tmp_path,
            ENDED_TASK=api.completed_task(user_id="ada").id,
            INTERNAL_TOKEN=INTERNAL_TOKEN,
        )

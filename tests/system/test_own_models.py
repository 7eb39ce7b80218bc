"""A stack with custom models, started as a new user does: by the command line, in an environment
with many settings.

The environment also contains proxies that do not work, and settings that differ from the local
stack's defaults.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.pubsub_v1.types import PubsubMessage

from common.adapters.grpc_channels import publisher_client
from common.wire_formats.task_message import encode_task_message
from darkroom.cli.exit_codes import ExitCode
from frontend_api.identity.emulator_tokens import unsigned_token
from local_stack.loopback import free_port
from tests.chaos.waiting import wait_for
from tests.factories import parameters, submitted_task

pytestmark = pytest.mark.end_to_end
ROOT = Path(__file__).parents[2]
DARKROOM = Path(sys.executable).with_name("darkroom")
PROJECT = "demo-darkroom"
UNUSABLE = "http://127.0.0.1:9"
BUILD = """
import sys
from pathlib import Path
from tests.unit.gpu_subscriber.engine.tiny_pipelines import tiny_stable_diffusion
for seed, name in enumerate(sys.argv[2:]):
    tiny_stable_diffusion(Path(sys.argv[1]) / name, seed=seed)
"""


def catalog(folder: Path) -> Path:
    """Write a catalog with two working models, and a third that no worker serves."""
    build = [sys.executable, "-c", BUILD, str(folder), "tiny-a", "tiny-b"]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=300)
    models = [
        {
            "name": name,
            "title": name,
            "family": "stable_diffusion",
            "source": source,
            "defaults": {"steps": 2, "width": 64, "height": 64},
        }
        for name, source in (("tiny-a", "tiny-a"), ("tiny-b", "tiny-b"), ("absent", "owner/absent"))
    ]
    path = folder / "models.json"
    path.write_text(json.dumps({"models": models}))
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Shell:
    """A new user's shell: all commands run with its environment."""

    folder: Path
    environment: dict[str, str]
    started: subprocess.CompletedProcess[str]

    def stack(self, *words: str) -> subprocess.CompletedProcess[str]:
        return in_shell([sys.executable, "-m", "local_stack", *words], self.environment)

    def darkroom(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return in_shell([str(DARKROOM), *words], {**self.environment, **variables})

    def get(self, path: str) -> Any:
        url = f"{self.environment['DARKROOM_URL']}{path}"
        return httpx.get(url, trust_env=False, timeout=30).raise_for_status().json()


def in_shell(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=400, check=False
    )


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    folder = tmp_path_factory.mktemp("own_models")
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if not name.endswith("_EMULATOR_HOST")}
    for name in ("no_proxy", "NO_PROXY"):
        inherited.pop(name, None)
    environment = {
        **inherited,
        **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), UNUSABLE),
        "ALL_PROXY": "socks5://127.0.0.1:9",
        "GOOGLE_CLOUD_PROJECT": "my-own-project",
        "DARKROOM_MODEL_CATALOG": str(catalog(folder)),
        "WORKER_MODELS": "tiny-a;tiny-b",
        "DARKROOM_MAX_ACTIVE_TASKS": "2",
        "DARKROOM_OPERATORS": '["olga"]',
        "DATA_DIR": str(folder / "data"),
        "PORT": str(port),
        "DARKROOM_URL": f"http://localhost:{port}",
    }
    started = in_shell([sys.executable, "-m", "local_stack", "up", "--detach"], environment)
    shell = Shell(folder=folder, environment=environment, started=started)
    try:
        assert started.returncode == 0, started.stderr
        yield shell
    finally:
        shell.stack("down")


def test_start_reports_unserved_models_and_ignored_variables(shell: Shell) -> None:
    assert "Ignored variables, which the stack sets itself: GOOGLE_CLOUD_PROJECT.\n" in shell.started.stdout
    assert "No worker serves absent: their tasks wait.\n" in shell.started.stdout


@pytest.mark.parametrize("model", ["tiny-a", "tiny-b"])
def test_each_catalog_model_generates_an_image(shell: Shell, model: str) -> None:
    done = shell.darkroom("generate", "a circle", "--model", model, "--to", str(shell.folder), "--json")
    assert done.returncode == 0, done.stderr
    output = json.loads(done.stdout)
    assert output["task"]["model"] == model
    assert Path(output["files"][0]).read_bytes().startswith(b"\x89PNG")


def test_status_models_and_queue_show_served_models(shell: Shell) -> None:
    served = {"tiny-a": 1, "tiny-b": 1, "absent": 0}
    assert json.loads(shell.stack("status", "--json").stdout)["models"] == served
    assert "model absent: 0 workers; its tasks wait\n" in shell.stack("status").stdout
    assert {model["name"]: model["workers"] for model in shell.get("/v1/models")["models"]} == served
    assert shell.get("/v1/queue")["unserved_models"] == ["absent"]


def test_task_of_an_unserved_model_is_reported_and_limited(shell: Shell) -> None:
    submit = ("submit", "a circle", "--model", "absent", "--json")
    waiting = [shell.darkroom(*submit) for _ in range(2)]
    try:
        for submitted in waiting:
            assert json.loads(submitted.stdout)["model_served"] is False
            assert submitted.stderr == (
                "No live worker serves the model absent: the task waits until one does.\n"
            )
        url = f"{shell.environment['DARKROOM_URL']}/v1/tasks"
        refused = httpx.post(url, json={"prompt": "a circle", "model": "absent"}, trust_env=False, timeout=30)
        assert (refused.status_code, refused.json()["code"]) == (429, "quota_exceeded")
    finally:
        shell.darkroom("cancel", *(json.loads(submitted.stdout)["id"] for submitted in waiting))


def test_message_of_an_unknown_model_is_dead_lettered(shell: Shell) -> None:
    assert shell.darkroom("dead-letters", "list").returncode == ExitCode.NOT_ALLOWED
    olga = {"DARKROOM_TOKEN": unsigned_token("olga", project_id=PROJECT)}
    known = encode_task_message(submitted_task(parameters=parameters()), result_bucket="images")
    port = json.loads(shell.stack("status", "--json").stdout)["ports"]["pubsub-proxy"]
    messages = [
        PubsubMessage(data=b"no model"),
        PubsubMessage(data=b"unknown model", attributes={"model": "huge"}),
        PubsubMessage(data=known[:-1], attributes={"model": "huge"}),
    ]
    topic = f"projects/{PROJECT}/topics/darkroom-tasks"
    publisher = publisher_client(emulator_host=f"127.0.0.1:{port}")
    publisher.publish(topic=topic, messages=messages, timeout=60)

    def archived() -> bool:
        listed = shell.darkroom("dead-letters", "list", "--json", **olga)
        return listed.returncode == 0 and len(json.loads(listed.stdout)) == len(messages)

    wait_for(archived, "a dead letter of each message", timeout_seconds=120)


def test_invalid_worker_models_are_rejected_before_the_start(shell: Shell) -> None:
    refused = shell.stack("up", "--data-dir", str(shell.folder / "other"), "--worker-models", "tiny-a;huge")
    assert refused.returncode == 1
    assert refused.stderr == (
        "WORKER_MODELS names the model 'huge', which is not in the model catalog: tiny-a, tiny-b, absent.\n"
    )

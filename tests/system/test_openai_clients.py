"""The official `openai` packages against the whole system: what its users see with OpenAI's service."""

import base64
import hashlib
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from common.domain.task import TaskStatus
from local_stack.loopback import LOOPBACK
from tests.chaos.waiting import wait_for
from tests.system.conftest import StartSystem, System

pytestmark = pytest.mark.end_to_end
ROOT = Path(__file__).parents[2]
NODE_PROGRAM = ROOT / "tests" / "system" / "openai_client.mjs"
PROMPT = "a large red circle above a small blue square"


def client_of(system: System, api_key: str = "local") -> openai.OpenAI:
    assert system.stack.page_url is not None
    return openai.OpenAI(base_url=f"{system.stack.page_url}openai/v1", api_key=api_key, max_retries=0)


@pytest.fixture
def client(system: System) -> Iterator[openai.OpenAI]:
    with client_of(system) as client:
        yield client


def test_four_images_arrive_as_bytes_of_one_task(system: System, client: openai.OpenAI) -> None:
    made = client.images.generate(
        prompt=PROMPT, model="demo", n=4, size="128x64", user="ada", extra_body={"steps": 4, "seed": 7}
    )
    assert made.data is not None
    files = [base64.b64decode(image.b64_json or "") for image in made.data]
    assert all(file.startswith(b"\x89PNG") for file in files)
    task = system.client.http.get(f"/v1/tasks/{made.to_dict()['task_id']}").json()
    assert [hashlib.sha256(file).hexdigest() for file in files] == [i["sha256"] for i in task["images"]]
    assert [image.to_dict()["seed"] for image in made.data] == [7, 8, 9, 10]
    assert (made.size, made.output_format, made.background) == ("128x64", "png", "opaque")
    assert (task["parameters"]["steps"], task["labels"]) == (4, {"user": "ada"})


def test_url_leads_to_the_image(client: openai.OpenAI) -> None:
    made = client.images.generate(
        prompt=PROMPT, response_format="url", size="auto", output_format="webp", extra_body={"steps": 4}
    )
    assert made.data is not None
    (image,) = made.data
    assert image.url is not None
    fetched = httpx.get(image.url, trust_env=False)
    assert (fetched.status_code, fetched.content[8:12]) == (200, b"WEBP")


def test_stream_ends_with_the_image(client: openai.OpenAI) -> None:
    stream = client.images.generate(prompt=PROMPT, stream=True, partial_images=3, extra_body={"steps": 60})
    *partial, completed = list(stream)
    assert completed.type == "image_generation.completed"
    assert base64.b64decode(completed.b64_json).startswith(b"\x89PNG")
    assert completed.usage.total_tokens == 0
    assert {event.type for event in partial} <= {"image_generation.partial_image"}
    assert [event.partial_image_index for event in partial] == list(range(len(partial)))
    assert all(base64.b64decode(event.b64_json).startswith(b"\xff\xd8") for event in partial)


@pytest.mark.parametrize("streams", [False, True])
def test_task_is_cancelled_when_the_caller_hangs_up(system: System, streams: bool) -> None:
    user = f"gone-{streams}"
    body = json.dumps({"prompt": PROMPT, "user": user, "stream": streams, "steps": 100})
    request = (
        "POST /openai/v1/images/generations HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )
    with system.held_engine():
        with socket.create_connection((LOOPBACK, system.stack.ports["api"])) as caller:
            caller.sendall(request.encode())
            wait_for(lambda: bool(tasks_of(system, user)), "the task")
        (task_id,) = tasks_of(system, user)
        assert system.client.wait_for_end(task_id).status is TaskStatus.CANCELLED


def tasks_of(system: System, user: str) -> list[str]:
    """Return the ids of the tasks that a client submitted for this user."""
    tasks = system.client.http.get("/v1/tasks").raise_for_status().json()["tasks"]
    return [task["id"] for task in tasks if task["labels"].get("user") == user]


def test_task_with_an_idempotency_key_survives_a_hang_up(system: System, client: openai.OpenAI) -> None:
    key = {"Idempotency-Key": f"order-{time.time_ns()}"}
    asked = {"prompt": PROMPT, "extra_headers": key, "extra_body": {"steps": 40}}
    with system.held_engine(), pytest.raises(openai.APITimeoutError):
        client.images.generate(**asked, timeout=0.3)
    first = client.images.generate(**asked)
    assert client.images.generate(**asked).to_dict() == first.to_dict()


def test_long_response_is_kept_alive_with_white_space(start_system: StartSystem) -> None:
    system = start_system(
        extra_environment={
            "DARKROOM_OPENAI_SILENT_SECONDS": "0",
            "DARKROOM_STREAM_HEARTBEAT_SECONDS": "0.2",
        }
    )
    assert system.stack.page_url is not None
    url = f"{system.stack.page_url}openai/v1/images/generations"
    body = {"prompt": PROMPT, "steps": 40, "response_format": "url"}
    with (
        system.held_engine(),
        httpx.stream("POST", url, json=body, timeout=120, trust_env=False) as answer,
    ):
        pieces = answer.iter_text()
        first = next(pieces)
        assert first.isspace()
        system.gate.release()
        assert len(json.loads(first + "".join(pieces))["data"]) == 1
    with client_of(system) as client, ThreadPoolExecutor(1) as operator:
        made = client.images.generate(prompt=PROMPT, extra_body={"steps": 20})
        assert made.data is not None
        assert made.data[0].b64_json
        with system.held_engine():
            cancelled = operator.submit(cancel_when_submitted, system, user="late")
            failed = client.images.generate(prompt=PROMPT, user="late", extra_body={"steps": 100})
        cancelled.result()
        assert failed.data is None
        assert failed.to_dict()["error"]["code"] == "task_cancelled"


def cancel_when_submitted(system: System, *, user: str) -> None:
    """Cancel the task of this user, once there is one."""
    wait_for(lambda: bool(tasks_of(system, user)), "the task")
    (task_id,) = tasks_of(system, user)
    system.client.http.post(f"/v1/tasks/{task_id}/cancel").raise_for_status()


def test_models_are_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("demo").owned_by == "darkroom"


def test_api_key_authenticates_the_client(system: System) -> None:
    asked = {"name": "openai", "scopes": ["read", "submit"]}
    key = system.client.http.post("/v1/keys", json=asked).json()["key"]
    with client_of(system, key) as client:
        assert client.images.generate(prompt=PROMPT, extra_body={"steps": 2}).data
        with pytest.raises(openai.BadRequestError) as raised:
            client.images.generate(prompt=PROMPT, extra_body={"sharpness": 3})
    assert raised.value.request_id == raised.value.response.headers["X-Trace-Id"]


def test_node_package_works(system: System) -> None:
    package = ROOT / "node_modules" / "openai"
    node = shutil.which("node")
    if node is None or not package.is_dir():
        pytest.skip("the `openai` package for Node is not installed: `make web` installs it")
    asked = {"name": "openai-node", "scopes": ["read", "submit"]}
    key = system.client.http.post("/v1/keys", json=asked).json()["key"]

    def run(*words: str) -> Any:
        # Read from standard input, the program finds the packages of the folder that it runs in.
        ran = subprocess.run(
            [node, "--input-type=module", "-", *words, f"{system.stack.page_url}openai/v1", key],
            cwd=ROOT, input=NODE_PROGRAM.read_text(), capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout)

    seen = run()
    seeds = [str(2**53 + 1 + k) for k in range(4)]
    assert seen["four"] == [[True, seed] for seed in seeds]
    assert seen["fetched"] == [200, "image/png"]
    *partial, completed = seen["events"]
    assert set(partial) <= {"image_generation.partial_image"}
    assert completed == "image_generation.completed"
    assert seen["models"] == ["demo"]
    assert seen["invalid"] == ["BadRequestError", 400, "parameters_rejected", "size"]
    assert seen["unknown"][:3] == ["NotFoundError", 404, "model_not_found"]
    assert seen["unauthenticated"][:3] == ["AuthenticationError", 401, "invalid_api_key"]
    with system.held_engine():
        gone = run("hang-up")
        assert gone["error"][0] == "APIUserAbortError"
        (task_id,) = tasks_of(system, gone["user"])
        assert system.client.wait_for_end(task_id).status is TaskStatus.CANCELLED

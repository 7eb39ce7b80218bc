"""Errors after a task was accepted: they name the task, and a repeated call creates no second one."""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client as McpClient

from darkroom import AsyncClient, ClientError, ConfigurationError, TaskFailedError, WaitTimeoutError
from darkroom.cli import options
from darkroom.cli.exit_codes import ExitCode
from darkroom.errors import DamagedImageError, problem_error
from darkroom.image_files import ImageFile
from darkroom.mcp_server import mcp_server
from darkroom.retrying import RetryPolicy
from scripted import URL, problem, reply, task_json
from terminal import Terminal
from test_clients import NO_PAUSE, Use, use
from test_images import COMPLETED, PNG

__all__ = ["use"]


class Service:
    """Accepts each key as one task; `respond` responds to all other requests."""

    def __init__(self, respond: Callable[[httpx.Request], httpx.Response]) -> None:
        self._respond = respond
        self.keys: list[str] = []
        self.transport = httpx.MockTransport(self.handle)

    def handle(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/v1/tasks":
            return self._respond(request)
        self.keys.append(request.headers["Idempotency-Key"])
        return reply(task_json(), 202)


def refuse_connections(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


def damage_images(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b"x") if "images" in request.url.path else reply(COMPLETED)


def complete(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=PNG) if "images" in request.url.path else reply(COMPLETED)


FAULTS: dict[str, Callable[[httpx.Request], httpx.Response]] = {
    "refused connections": refuse_connections,
    "rate limit": lambda _: problem("rate_limited", 429),
    "expired token": lambda _: problem("unauthenticated", 401),
    "page of a proxy": lambda _: httpx.Response(404, html="<h1>No</h1>"),
    "damaged image": damage_images,
    "timeout": lambda _: reply(task_json()),
}


@pytest.mark.parametrize("respond", FAULTS.values(), ids=FAULTS)
def test_generate_repeated_by_the_documented_rule_creates_one_task(
    use: Use, respond: Callable[[httpx.Request], httpx.Response]
) -> None:
    service, key = Service(respond), None
    for _ in range(2):
        with pytest.raises(ClientError, match="task-1") as caught:
            use(service, "generate", "a cat", idempotency_key=key, wait_seconds=0.0)
        error = caught.value
        assert error.task_id == "task-1"
        key = error.idempotency_key if error.outcome_is_unknown else None
    assert len(service.keys) == 2
    assert len(set(service.keys)) == 1


def test_generate_needs_a_new_key_only_after_the_task_failed(use: Use) -> None:
    service = Service(lambda _: reply(task_json("failed")))
    with pytest.raises(TaskFailedError) as caught:
        use(service, "generate", "a cat")
    error = caught.value
    assert (error.task_id, error.outcome_is_unknown) == ("task-1", False)
    assert [error.idempotency_key] == service.keys


def test_generate_refuses_an_invalid_timeout_before_it_submits(use: Use) -> None:
    service = Service(complete)
    with pytest.raises(ConfigurationError, match="wait_seconds"):
        use(service, "generate", "a cat", wait_seconds=float("nan"))
    assert service.keys == []


def test_submit_error_has_the_generated_key(use: Use) -> None:
    keys: list[str] = []

    class Lost:
        @staticmethod
        def respond(request: httpx.Request) -> httpx.Response:
            keys.append(request.headers["Idempotency-Key"])
            raise httpx.ReadTimeout("no response", request=request)

        transport = httpx.MockTransport(respond)

    with pytest.raises(ClientError) as caught:
        use(Lost(), "submit", "a cat")
    assert caught.value.outcome_is_unknown
    assert {caught.value.idempotency_key} == set(keys)


def test_error_can_be_copied_and_pickled() -> None:
    refused = problem_error({"code": "rate_limited", "task_id": "t"}, status=429, retry_after_seconds=3.0)
    refused.idempotency_key = "k"
    for error in (refused, DamagedImageError("t", 0), WaitTimeoutError("t", 5.0, None)):
        for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
            assert (type(twin), str(twin), vars(twin)) == (type(error), str(error), vars(error))


@pytest.fixture
def darkroom(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(options, "_RETRIES", RetryPolicy(max_retries=0))
    return Terminal(capsys, monkeypatch, DARKROOM_URL="http://localhost:1")


def serve(monkeypatch: pytest.MonkeyPatch, respond: Callable[[httpx.Request], httpx.Response]) -> Service:
    service = Service(respond)

    def handle(_transport: object, request: httpx.Request) -> httpx.Response:
        response = service.handle(request)
        response.request = request
        return response

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", handle)
    return service


COMMAND_FAULTS = {**FAULTS, "502 of a proxy": lambda _: httpx.Response(502, html="<h1>Bad gateway</h1>")}


@pytest.mark.parametrize("respond", COMMAND_FAULTS.values(), ids=COMMAND_FAULTS)
def test_command_names_the_accepted_task_with_every_error(
    darkroom: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    respond: Callable[[httpx.Request], httpx.Response],
) -> None:
    serve(monkeypatch, respond)
    code, out, err = darkroom("generate", "a cat", "--timeout", "0")
    assert (code > 0, out) == (True, "")
    assert "darkroom watch task-1" in err


def test_command_names_the_accepted_task_when_its_image_cannot_be_saved(
    darkroom: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_image: ImageFile, _folder: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(ImageFile, "save", fail)
    serve(monkeypatch, complete)
    code, _, err = darkroom("generate", "a cat")
    assert code == ExitCode.REFUSED
    assert "Task task-1 was accepted." in err
    assert "no space left on device" in err


def test_command_saves_each_image_before_the_next_is_read(
    darkroom: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stored = COMPLETED["images"][0]
    two = {
        "images": [stored, {**stored, "index": 1}],
        "parameters": {**COMPLETED["parameters"], "num_images": 2},
    }

    def respond(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/images/1"):
            assert len(list(tmp_path.iterdir())) == 1
            return httpx.Response(200, content=b"damaged")
        is_image = "images" in request.url.path
        return httpx.Response(200, content=PNG) if is_image else reply({**COMPLETED, **two})

    serve(monkeypatch, respond)
    for words in (("generate", "a cat"), ("download", "task-1")):
        code, _, err = darkroom(*words)
        assert (code, "image 1 of task task-1 was damaged" in err) == (ExitCode.REFUSED, True)
        (saved,) = tmp_path.iterdir()
        assert saved.read_bytes() == PNG
        saved.unlink()


def test_command_names_the_task_that_ctrl_c_could_not_cancel(
    darkroom: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt_and_fail(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            raise KeyboardInterrupt
        return problem("rate_limited", 429)

    serve(monkeypatch, interrupt_and_fail)
    _, _, err = darkroom("generate", "a cat", "--cancel-on-interrupt")
    assert "darkroom watch task-1" in err


def test_watch_does_not_state_that_a_task_was_accepted(
    darkroom: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    serve(monkeypatch, lambda _: problem("task_not_found", 404))
    code, _, err = darkroom("watch", "missing")
    assert code == ExitCode.NOT_FOUND
    assert "accepted" not in err


def test_command_refuses_an_infinite_timeout_before_it_submits(
    darkroom: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = serve(monkeypatch, complete)
    code, _, err = darkroom("generate", "a cat", "--timeout", "inf")
    assert (code, "must be a finite number" in err, service.keys) == (ExitCode.USAGE, True, [])


def call_tool(
    transport: httpx.MockTransport, arguments: dict[str, Any], folder: Path | None = None
) -> tuple[bool, str]:
    """Call `generate` of the MCP server. Return whether it is an error, and its text."""

    async def call() -> Any:
        server = mcp_server(AsyncClient(URL, retries=NO_PAUSE, transport=transport), folder)
        async with McpClient(server) as client:
            return await client.call_tool("generate", arguments)

    result = anyio.run(call)
    return result.is_error, result.content[0].text


@pytest.mark.parametrize("respond", [FAULTS["refused connections"], FAULTS["expired token"], damage_images])
def test_tool_names_the_accepted_task(respond: Callable[[httpx.Request], httpx.Response]) -> None:
    is_error, text = call_tool(Service(respond).transport, {"prompt": "a cat"})
    assert is_error
    assert "call status with task_id task-1" in text


def test_tool_names_the_accepted_task_when_its_image_cannot_be_saved(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    is_error, text = call_tool(Service(complete).transport, {"prompt": "a cat"}, tmp_path / "file")
    assert is_error
    assert "call status with task_id task-1" in text


def test_tool_can_repeat_a_lost_submission_with_its_key() -> None:
    keys: list[str] = []

    def lose(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        raise httpx.ReadTimeout("no response", request=request)

    transport = httpx.MockTransport(lose)
    is_error, text = call_tool(transport, {"prompt": "a cat"})
    assert is_error
    assert f"idempotency_key {keys[0]}" in text
    call_tool(transport, {"prompt": "a cat", "idempotency_key": keys[0]})
    assert len(set(keys)) == 1

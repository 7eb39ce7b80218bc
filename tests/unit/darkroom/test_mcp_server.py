"""darkroom mcp with the official MCP client over stdio, against the real application."""

import base64
import json
import sys
import threading
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import ProgressNotification

from common.domain.images import Preview
from common.domain.task import Phase, Progress, Task, TaskStatus
from tests.factories import claim_of
from tests.pictures import jpeg_with_scans, png
from tests.unit.darkroom.conftest import OPERATOR
from tests.unit.frontend_api import conftest
from tests.unit.frontend_api.conftest import Api

JPEG = jpeg_with_scans(1)


def with_client(url: str, use: Callable[[Any, list[Any]], Awaitable[None]], *words: str) -> None:
    """Run `use` with a client of `darkroom mcp`, and the notifications that it received."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "darkroom", "--url", url, "--token", OPERATOR, "mcp", *words],
    )
    received: list[Any] = []

    async def receive(message: Any) -> None:
        received.append(message)

    async def main() -> None:
        with anyio.fail_after(150):
            async with Client(command, message_handler=receive) as client:
                await use(client, received)

    anyio.run(main)


async def only_task(api: Api) -> Task:
    while not api.store.all_tasks:
        await anyio.sleep(0.01)
    return api.store.all_tasks[0]


def json_of(result: Any) -> Any:
    return json.loads(result.content[0].text)


def test_tools_are_listed_and_models_described(url: str) -> None:
    async def use(client: Any, _received: list[Any]) -> None:
        tools = (await client.list_tools()).tools
        assert [tool.name for tool in tools] == ["generate", "status", "cancel", "list_models"]
        assert tools[0].input_schema["required"] == ["prompt"]
        (model,) = json_of(await client.call_tool("list_models"))
        assert (model["name"], model["limits"]["max_steps"]) == ("demo", 100)

    with_client(url, use)


def test_generate_reports_progress_and_returns_the_image(
    api: Api, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conftest, "PNG", png())  # files that are no images are not returned

    async def use(client: Any, received: list[Any]) -> None:
        reported: list[tuple[float, float | None, str | None]] = []

        def previews() -> list[str]:
            notes = [message.params for message in received if isinstance(message, ProgressNotification)]
            return [note.meta["dev.darkroom/preview"] for note in notes if note.meta]

        async def report(value: float, total: float | None, message: str | None) -> None:
            reported.append((value, total, message))

        async def work() -> None:
            task = await only_task(api)
            claimed = await anyio.to_thread.run_sync(api.claim, task)
            progress = Progress(phase=Phase.DENOISING, value=0.35, step=7, steps=20)
            drawn = (Preview(index=0, step=7, jpeg=JPEG),)
            now, ttl = api.clock.now(), timedelta(seconds=60)
            renewed = api.store.update(
                task.id,
                lambda t: t.renewed(claim_of(claimed), now, ttl, progress=progress, previews=drawn),
            )
            while not previews() or (0.35, 1.0, "denoising, step 7 of 20") not in reported:
                await anyio.sleep(0.01)
            await anyio.to_thread.run_sync(api.complete, renewed)

        async with anyio.create_task_group() as group:
            group.start_soon(work)
            result = await client.call_tool("generate", {"prompt": "a fox"}, progress_callback=report)
        facts = json_of(result)
        assert (result.is_error, facts["status"]) == (False, "completed")
        assert Path(facts["files"][0]).read_bytes() == base64.b64decode(result.content[1].data)
        assert result.content[1].mime_type == "image/png"
        assert previews() == [f"data:image/jpeg;base64,{base64.b64encode(JPEG).decode()}"]

    with_client(url, use, "--to", str(tmp_path))


def test_unfinished_task_is_continued_by_status_and_cancelled(api: Api, url: str) -> None:
    async def use(client: Any, _received: list[Any]) -> None:
        facts = json_of(await client.call_tool("generate", {"prompt": "a fox", "wait_seconds": 0}))
        assert (facts["status"], facts["next"]) == (
            "queued",
            f"unfinished: call status with task_id {facts['task_id']}",
        )
        again = json_of(await client.call_tool("status", {"task_id": facts["task_id"], "wait_seconds": 0}))
        assert again["status"] == "queued"
        cancelled = json_of(await client.call_tool("cancel", {"task_id": facts["task_id"]}))
        assert cancelled["status"] == "cancelled"

    with_client(url, use)


def test_refusal_is_an_error_that_names_the_field(api: Api, url: str) -> None:
    async def use(client: Any, _received: list[Any]) -> None:
        refused = await client.call_tool("generate", {"prompt": "a fox", "steps": 5000})
        assert refused.is_error
        assert "/steps: must be between 1 and 100, got 5000" in refused.content[0].text
        missing = await client.call_tool("status", {"task_id": "missing"})
        assert (missing.is_error, "Task not found" in missing.content[0].text) == (True, True)

    with_client(url, use)
    assert api.has_taken_nothing()


def test_abandoned_call_cancels_its_task(api: Api, url: str) -> None:
    async def use(client: Any, _received: list[Any]) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "generate", {"prompt": "a fox"})
            await only_task(api)
            group.cancel_scope.cancel()
        while (await only_task(api)).status is not TaskStatus.CANCELLED:
            await anyio.sleep(0.01)

    with_client(url, use)


def test_call_that_is_abandoned_while_it_submits_cancels_its_task(
    api: Api, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    create, may_answer = api.store.create, threading.Event()

    def create_and_wait(task: Task) -> Task:
        stored = create(task)
        assert may_answer.wait(60)
        return stored

    async def use(client: Any, _received: list[Any]) -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "generate", {"prompt": "a fox"})
            await only_task(api)
            group.cancel_scope.cancel()
        await client.list_tools()  # the server has read the cancellation, which was sent before
        may_answer.set()
        while (await only_task(api)).status is not TaskStatus.CANCELLED:
            await anyio.sleep(0.01)

    monkeypatch.setattr(api.store, "create", create_and_wait)
    with_client(url, use)

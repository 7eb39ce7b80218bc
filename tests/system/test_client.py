"""The Python SDK against the whole system: real API, real worker, real images."""

import asyncio
import hashlib
import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from darkroom import (
    AsyncClient,
    Client,
    IdempotencyKeyReusedError,
    InvalidTransitionError,
    Task,
    TaskDeletedError,
    TaskNotFoundError,
    TaskStatus,
    WaitTimeoutError,
)
from tests.system.conftest import System

pytestmark = pytest.mark.end_to_end
PROMPT = "a large green triangle on a white background"


@pytest.fixture
def darkroom(system: System) -> Iterator[Client]:
    with Client(system.stack.page_url) as client:
        yield client


def assert_each_change_in_order(snapshots: list[Task]) -> None:
    assert snapshots[-1].status.is_terminal
    assert not any(snapshot.status.is_terminal for snapshot in snapshots[:-1])
    values = [snapshot.progress.value for snapshot in snapshots]
    assert values == sorted(values)
    assert all(one != next_one for one, next_one in itertools.pairwise(snapshots))


def test_generate_returns_verified_images(darkroom: Client, tmp_path: Path) -> None:
    generation = darkroom.generate(PROMPT, steps=4, seed=7, num_images=2, labels={"team": "a"})
    assert (generation.task.status, generation.task.parameters.seed) == (TaskStatus.COMPLETED, 7)
    assert [image.stored.seed for image in generation.images] == [7, 8]
    for image in generation.images:
        assert Image.open(io.BytesIO(image.content)).size == (256, 256)
        assert hashlib.sha256(image.content).hexdigest() == image.stored.sha256
    paths = darkroom.download(generation.task.id, tmp_path)
    assert [path.read_bytes() for path in paths] == [image.content for image in generation.images]
    assert generation.task.labels == {"team": "a"}
    assert generation.task == darkroom.get(generation.task)


def test_stream_yields_each_change_until_the_terminal_state(darkroom: Client) -> None:
    task = darkroom.submit(PROMPT, steps=20)
    snapshots = list(darkroom.stream(task))
    assert_each_change_in_order(snapshots)
    assert snapshots[-1].status is TaskStatus.COMPLETED
    assert list(darkroom.stream(task.id)) == snapshots[-1:]


def test_stream_uses_one_connection(system: System) -> None:
    class Recording(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            requested.append(request.url.path)
            return super().handle_request(request)

    requested: list[str] = []
    with Client(system.stack.page_url, transport=Recording()) as darkroom:
        task = darkroom.submit(PROMPT, steps=8)
        assert list(darkroom.stream(task))[-1].status is TaskStatus.COMPLETED
    assert requested == ["/v1/tasks", f"/v1/tasks/{task.id}/events"]


def test_wait_uses_held_reads(system: System) -> None:
    class Recording(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            response = super().handle_request(request)
            if "Prefer" in request.headers:
                held.append(response.headers.get("Preference-Applied"))
            return response

    held: list[str | None] = []
    with Client(system.stack.page_url, transport=Recording()) as darkroom:
        assert darkroom.wait(darkroom.submit(PROMPT, steps=8)).status is TaskStatus.COMPLETED
    assert set(held) == {"wait=30"}


def test_stream_with_a_timeout_yields_each_change(darkroom: Client) -> None:
    snapshots = list(darkroom.stream(darkroom.submit(PROMPT, steps=20), timeout_seconds=120))
    assert_each_change_in_order(snapshots)


def test_async_client_runs_many_operations_at_once(system: System) -> None:
    async def run() -> list[Task]:
        async with AsyncClient(system.stack.page_url) as darkroom:
            async with asyncio.TaskGroup() as group:
                works = [
                    group.create_task(darkroom.generate(PROMPT, steps=2, seed=seed)) for seed in range(4)
                ]
            followed = [
                snapshot async for snapshot in darkroom.stream(await darkroom.submit(PROMPT, steps=8))
            ]
            assert_each_change_in_order(followed)
            newest = [task.id async for task in darkroom.list(page_size=3)]
            finished = [work.result().task for work in works]
            assert {task.id for task in finished} <= set(newest)
            return finished

    finished = asyncio.run(run())
    assert [task.parameters.seed for task in finished] == [0, 1, 2, 3]
    assert {task.status for task in finished} == {TaskStatus.COMPLETED}


def test_submit_many_accepts_more_than_one_call_takes(darkroom: Client) -> None:
    seeds = range(102)
    outcomes = darkroom.submit_many(
        {"prompt": PROMPT, "steps": 1, "width": 64, "height": 64, "seed": seed} for seed in seeds
    )
    tasks = [outcome for outcome in outcomes if isinstance(outcome, Task)]
    assert [task.parameters.seed for task in tasks] == list(seeds)
    ends = [darkroom.wait(task, timeout_seconds=120) for task in (tasks[0], tasks[-1])]
    assert {end.status for end in ends} == {TaskStatus.COMPLETED}


def test_idempotency_key_creates_one_task(darkroom: Client) -> None:
    first = darkroom.submit(PROMPT, steps=2, idempotency_key="order-1815")
    assert darkroom.submit(PROMPT, steps=2, idempotency_key="order-1815").id == first.id
    with pytest.raises(IdempotencyKeyReusedError):
        darkroom.submit(PROMPT, steps=3, idempotency_key="order-1815")


def test_wait_timeout_lets_the_task_continue(system: System, darkroom: Client) -> None:
    with system.held_engine():
        task = darkroom.submit(PROMPT, steps=100)
        with pytest.raises(WaitTimeoutError) as late:
            darkroom.wait(task, timeout_seconds=1)
        assert late.value.task_id == task.id
        assert not darkroom.get(task).status.is_terminal
        darkroom.cancel(task)
        cancelled = darkroom.wait(task, timeout_seconds=120)
    assert cancelled.status is TaskStatus.CANCELLED


def test_cancelled_task_is_retried_and_deleted(system: System, darkroom: Client) -> None:
    with system.held_engine():
        task = darkroom.submit(PROMPT, steps=100)
        darkroom.cancel(task)
        assert darkroom.wait(task, timeout_seconds=120).status is TaskStatus.CANCELLED
        assert darkroom.retry(task).status is TaskStatus.QUEUED
        with pytest.raises(InvalidTransitionError):
            darkroom.retry(task)
        followed = darkroom.stream(task)
        while next(followed).status is not TaskStatus.PROCESSING:
            continue  # a waiting task is cancelled before it is deleted, which ends the stream
        darkroom.delete(task)
        with pytest.raises(TaskDeletedError):
            list(followed)
    with pytest.raises(TaskNotFoundError):
        darkroom.get(task)

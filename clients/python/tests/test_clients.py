"""Both clients, with a transport that simulates failures of a server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, closing
from typing import Any

import httpx
import pytest

from darkroom import AsyncClient, Client, RetryPolicy, Task, TaskNotFoundError
from scripted import URL, problem, reply, step, task_json

NO_PAUSE = RetryPolicy(first_pause_seconds=0.0)


class Chunks(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A body that arrives in chunks and may break off; records whether it was closed."""

    def __init__(self, *chunks: bytes | httpx.RequestError) -> None:
        self._chunks = chunks
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if isinstance(chunk, httpx.RequestError):
                raise chunk
            yield chunk

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self:
            yield chunk

    def close(self) -> None:
        self.is_closed = True

    async def aclose(self) -> None:
        self.is_closed = True


class Server:
    """Responds in the order of its script."""

    def __init__(self, *outcomes: httpx.Response | httpx.RequestError) -> None:
        self._outcomes = iter(outcomes)
        self.requests: list[httpx.Request] = []
        self.transport = httpx.MockTransport(self._respond)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        outcome = next(self._outcomes)
        if isinstance(outcome, httpx.RequestError):
            raise outcome
        return outcome


Use = Callable[..., Any]


def use_blocking(server: Server, method: str, *arguments: Any, **options: Any) -> Any:
    with Client(URL, retries=NO_PAUSE, transport=server.transport) as client:
        result = getattr(client, method)(*arguments, **options)
        return list(result) if hasattr(result, "__next__") else result


def use_asynchronous(server: Server, method: str, *arguments: Any, **options: Any) -> Any:
    async def use() -> Any:
        async with AsyncClient(URL, retries=NO_PAUSE, transport=server.transport) as client:
            result = getattr(client, method)(*arguments, **options)
            return [each async for each in result] if hasattr(result, "__anext__") else await result

    return asyncio.run(use())


@pytest.fixture(params=[use_blocking, use_asynchronous], ids=["blocking", "asynchronous"])
def use(request: pytest.FixtureRequest) -> Use:
    found: Use = request.param
    return found


def events(*chunks: bytes | httpx.RequestError) -> httpx.Response:
    return httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=Chunks(*chunks))


def event(task: dict[str, Any], etag: str) -> bytes:
    data = Task.model_validate(task).model_dump_json(by_alias=True)
    return f"event: task\nid: {etag}\ndata: {data}\n\n".encode()


def test_client_retries_a_submission_with_one_key(use: Use) -> None:
    server = Server(
        httpx.ConnectError("refused"), problem("dependency_unavailable", 503), reply(task_json(), 202)
    )
    assert use(server, "submit", "a large red circle").id == "task-1"
    assert len({request.headers["Idempotency-Key"] for request in server.requests}) == 1


def test_client_raises_the_error_of_an_operation(use: Use) -> None:
    with pytest.raises(TaskNotFoundError):
        use(Server(problem("task_not_found", 404)), "get", "task-1")


def test_client_stream_survives_a_broken_connection(use: Use) -> None:
    whole = event(step(3), "third")
    server = Server(
        events(b": heartbeat\n\n", event(step(1), "first"), whole[:40], httpx.ReadError("broken")),
        reply(step(2)),
        events(whole[:7], whole[7:], event(task_json("completed"), "last")),
    )
    assert [(task.status, task.progress.step) for task in use(server, "stream", "task-1")] == [
        ("processing", 1),
        ("processing", 2),
        ("processing", 3),
        ("completed", 0),
    ]
    assert server.requests[-1].headers["Last-Event-ID"] == "first"


def test_client_closes_the_connection_of_a_closed_stream() -> None:
    stream = Chunks(event(step(1), "first"), event(step(2), "second"))
    response = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=stream)
    with Client(URL, transport=Server(response).transport) as client:
        with closing(client.stream("task-1")) as snapshots:
            assert next(snapshots).progress.step == 1
            assert not stream.is_closed
        assert stream.is_closed


def test_async_client_closes_the_connection_of_a_closed_stream() -> None:
    stream = Chunks(event(step(1), "first"), event(step(2), "second"))
    response = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, stream=stream)

    async def listen_once() -> None:
        async with AsyncClient(URL, transport=Server(response).transport) as client:
            async with aclosing(client.stream("task-1")) as snapshots:
                assert (await anext(snapshots)).progress.step == 1
            assert stream.is_closed

    asyncio.run(listen_once())


def test_clients_have_the_same_methods() -> None:
    def offered(client: type) -> set[str]:
        return {name for name in vars(client) if not name.startswith("_")} - {"close", "aclose"}

    assert offered(Client) == offered(AsyncClient)

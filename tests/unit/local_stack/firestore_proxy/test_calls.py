"""The Firestore proxy's calls, with a stand-in for the emulator that ends them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.cloud.firestore_v1.types import firestore as calls

from local_stack.firestore_proxy import target_gate
from local_stack.firestore_proxy.emulator_link import SERVICE, EmulatorLink
from local_stack.firestore_proxy.journal import Journal
from local_stack.firestore_proxy.listen_stream import ListenStream
from local_stack.firestore_proxy.server import start_server
from local_stack.grpc_proxy import identity
from local_stack.loopback import free_port

GUARD_SECONDS = 60
"""Only a failing test waits this long."""
ADD_TARGET = calls.ListenRequest.pb()(database="d", add_target={"target_id": 2}).SerializeToString()


class Emulator(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    """Reports itself as restored; `end` ends every other call."""

    def __init__(self, end: Callable[[Any], Awaitable[None]]) -> None:
        self._end = end

    def service(self, details: Any) -> Any:
        if details.method == SERVICE + "GetDocument":
            return grpc.unary_unary_rpc_method_handler(_found)
        return grpc.stream_stream_rpc_method_handler(self._serve)

    async def _serve(self, _requests: Any, context: Any) -> None:
        await self._end(context)


async def _found(_request: bytes, _context: Any) -> bytes:
    return b""


@asynccontextmanager
async def emulator_link(
    journal: Journal, end: Callable[[Any], Awaitable[None]]
) -> AsyncIterator[EmulatorLink]:
    """Yield a link that is connected to the stand-in."""
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((Emulator(end),))
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    link = EmulatorLink(address, journal, save=lambda: None)
    await server.start()
    keeping = asyncio.create_task(link.keep_connected())
    try:
        await link.channel(GUARD_SECONDS)
        yield link
    finally:
        keeping.cancel()
        await asyncio.wait((keeping,))
        await server.stop(None)


@pytest.mark.parametrize("method", ["ListCollectionIds", "Commit", "BatchWrite", "RunQuery", "Listen"])
def test_call_is_unavailable_when_cancelled_by_the_emulator(tmp_path: Path, method: str) -> None:
    async def cancel(context: Any) -> None:
        await context.abort(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")

    async def scenario() -> grpc.StatusCode:
        port = free_port()
        async with emulator_link(Journal(tmp_path), cancel) as link:
            server = await start_server(link, listen=f"127.0.0.1:{port}")
            channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
            call = channel.stream_stream(SERVICE + method, identity, identity)
            code: grpc.StatusCode = await call(iter([ADD_TARGET]), timeout=GUARD_SECONDS).code()
            await channel.close()
            await server.stop(None)
        return code

    assert asyncio.run(scenario()) is grpc.StatusCode.UNAVAILABLE


async def _close_channel(link: EmulatorLink, channel: grpc.aio.Channel, _ended: asyncio.Event) -> None:
    await link.close_stream_channel(channel)


async def _end_at_the_emulator(
    _link: EmulatorLink, _channel: grpc.aio.Channel, may_end: asyncio.Event
) -> None:
    may_end.set()


@pytest.mark.parametrize("end", [_close_channel, _end_at_the_emulator])
def test_write_does_not_wait_for_an_ended_stream(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: Callable[[EmulatorLink, grpc.aio.Channel, asyncio.Event], Awaitable[None]],
) -> None:
    for limit in ("_LONGEST_WAIT_SECONDS", "_LONGEST_ADDITION_SECONDS"):
        monkeypatch.setattr(target_gate, limit, 2 * GUARD_SECONDS)

    async def scenario() -> None:
        is_open, may_end, has_ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def serve(_context: Any) -> None:
            is_open.set()
            await may_end.wait()

        async with emulator_link(Journal(tmp_path), serve) as link, asyncio.timeout(GUARD_SECONDS):
            async with link.gate.write():
                channel = await link.stream_channel(None)
                stream = ListenStream(
                    link, channel, (), on_response=lambda _: None, on_end=lambda *_: has_ended.set()
                )
                stream.send(ADD_TARGET)  # waits for the write
                await is_open.wait()
                await end(link, channel, may_end)
                await has_ended.wait()
            async with link.gate.write():
                pass

    asyncio.run(scenario())

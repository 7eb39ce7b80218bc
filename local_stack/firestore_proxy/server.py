"""The gRPC server for programs: passes every call through as bytes and journals the writes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from typing import Any

import grpc

from local_stack.firestore_proxy.emulator_link import (
    SERVICE,
    EmulatorLink,
    EmulatorUnavailableError,
    as_it_is,
    is_from_grpc,
)
from local_stack.firestore_proxy.journal import CallKind, Journal, Record
from local_stack.firestore_proxy.listen_stream import ListenStream

_SERVER_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.so_reuseport", 0),  # two proxies on one port must not share its callers
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)
_JOURNALED = {SERVICE + "Commit": CallKind.COMMIT, SERVICE + "BatchWrite": CallKind.BATCH_WRITE}
_NOT_JOURNALED = frozenset(
    SERVICE + name for name in ("CreateDocument", "UpdateDocument", "DeleteDocument", "Write")
)
_WRITE_SECONDS = 60.0
"""How long a write may take, whatever its caller's deadline is."""
_MOST_WAITING_ANSWERS = 10_000
_ANSWERED_BY_STREAMS = frozenset(
    SERVICE + name for name in ("BatchGetDocuments", "RunQuery", "RunAggregationQuery", "ExecutePipeline")
)


async def start_server(link: EmulatorLink, journal: Journal, *, listen: str) -> grpc.aio.Server:
    """Start and return a server. Raises RuntimeError when it cannot listen on the address."""
    server = grpc.aio.server(options=_SERVER_OPTIONS)
    server.add_generic_rpc_handlers((_Calls(link, journal),))
    server.add_insecure_port(listen)
    await server.start()
    return server


class _Calls(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    def __init__(self, link: EmulatorLink, journal: Journal) -> None:
        self._link = link
        self._journal = journal
        self._writing: set[asyncio.Task[bytes]] = set()

    def service(self, details: Any) -> Any:
        method: str = details.method
        if method in _NOT_JOURNALED:
            return grpc.unary_unary_rpc_method_handler(_refuse)
        if method == SERVICE + "Listen":
            return grpc.stream_stream_rpc_method_handler(self._listen)
        if method in _ANSWERED_BY_STREAMS:
            return grpc.unary_stream_rpc_method_handler(partial(self._answers, method))
        if method in _JOURNALED:
            return grpc.unary_unary_rpc_method_handler(partial(self._write, method, _JOURNALED[method]))
        return grpc.unary_unary_rpc_method_handler(partial(self._unary, method))

    async def _unary(self, method: str, request: bytes, context: Any) -> bytes:
        channel = await self._channel(context)
        call = channel.unary_unary(method, as_it_is, as_it_is)(
            request, timeout=context.time_remaining(), metadata=_passed_on(context)
        )
        return await _answer(call, context)

    async def _write(self, method: str, kind: CallKind, request: bytes, context: Any) -> bytes:
        await self._channel(context)
        journaled = asyncio.create_task(self._journaled(method, kind, request, _passed_on(context)))
        self._writing.add(journaled)
        journaled.add_done_callback(self._writing.discard)
        # A write that the emulator made is journaled even if its caller is gone: others may have
        # read it.
        return await _answer(asyncio.shield(journaled), context)

    async def _journaled(self, method: str, kind: CallKind, request: bytes, metadata: Any) -> bytes:
        async with self._link.gate.write():
            channel = await self._link.channel(0)  # an earlier one may have been closed at the gate
            call = channel.unary_unary(method, as_it_is, as_it_is)
            response: bytes = await call(request, timeout=_WRITE_SECONDS, metadata=metadata)
        self._journal.append(Record(kind=kind, request=request, response=response))
        return response

    async def _answers(self, method: str, request: bytes, context: Any) -> AsyncIterator[bytes]:
        channel = await self._channel(context)
        call = channel.unary_stream(method, as_it_is, as_it_is)(
            request, timeout=context.time_remaining(), metadata=_passed_on(context)
        )
        async for response in _read(call, context):
            yield response

    async def _listen(self, requests: Any, context: Any) -> AsyncIterator[bytes]:
        try:
            channel = await self._link.stream_channel(context.time_remaining())
        except EmulatorUnavailableError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        answers: asyncio.Queue[bytes | tuple[grpc.StatusCode, str]] = asyncio.Queue()
        stream = ListenStream(
            self._link,
            channel,
            _passed_on(context),
            on_response=answers.put_nowait,
            on_end=lambda code, message: answers.put_nowait((code, message)),
        )

        async def pass_requests_on() -> None:
            async for request in requests:
                stream.send(request)

        passing = asyncio.create_task(pass_requests_on())
        try:
            while isinstance(answer := await answers.get(), bytes):
                yield answer
                if answers.qsize() > _MOST_WAITING_ANSWERS:
                    answer = (grpc.StatusCode.RESOURCE_EXHAUSTED, "The caller does not read its stream.")
                    break
            await context.abort(*answer)
        finally:
            passing.cancel()
            stream.end()

    async def _channel(self, context: Any) -> grpc.aio.Channel:
        try:
            return await self._link.channel(context.time_remaining())
        except EmulatorUnavailableError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            raise


async def _answer(response: Awaitable[bytes], context: Any) -> bytes:
    try:
        return await response
    except grpc.aio.AioRpcError as error:
        await _fail_alike(error, context)
    except asyncio.CancelledError:
        await _fail_if_emulator_is_lost(context)
    except EmulatorUnavailableError as error:
        await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
    except OSError as error:
        # The write was made but would not outlive the emulator, so its outcome is unknown to the
        # caller.
        await context.abort(grpc.StatusCode.UNAVAILABLE, f"The journal cannot be written: {error}")
    raise AssertionError("the call was aborted")


async def _read(call: Any, context: Any) -> AsyncIterator[bytes]:
    try:
        async for response in call:
            yield response
    except grpc.aio.AioRpcError as error:
        await _fail_alike(error, context)
    except asyncio.CancelledError:
        await _fail_if_emulator_is_lost(context)
    finally:
        call.cancel()


def _passed_on(context: Any) -> tuple[tuple[str, str | bytes], ...]:
    """Return the caller's metadata without gRPC's own entries."""
    return tuple(
        (key, value)
        for key, value in context.invocation_metadata()
        if not key.startswith("grpc-") and key not in ("user-agent", "te", "content-type")
    )


async def _fail_alike(error: grpc.aio.AioRpcError, context: Any) -> None:
    """End the call like the emulator's: code, text and details."""
    if is_from_grpc(error):
        await _fail_if_emulator_is_lost(context)
    details = tuple(
        (key, value)
        for key, value in error.trailing_metadata() or ()
        if not key.startswith("grpc-") or key == "grpc-status-details-bin"
    )
    await context.abort(error.code(), error.details() or "", details)


async def _fail_if_emulator_is_lost(context: Any) -> None:
    """Report a lost emulator, unless the caller itself cancelled the call."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    await context.abort(grpc.StatusCode.UNAVAILABLE, "The Firestore emulator ended during the call.")


async def _refuse(_request: bytes, context: Any) -> bytes:
    await context.abort(
        grpc.StatusCode.UNIMPLEMENTED,
        "The local Firestore proxy journals Commit and BatchWrite; use one of these to write.",
    )
    return b""

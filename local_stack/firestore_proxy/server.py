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
    is_from_grpc,
)
from local_stack.firestore_proxy.journal import CallKind
from local_stack.firestore_proxy.listen_stream import ListenStream
from local_stack.grpc_proxy import SERVER_OPTIONS, error_details, identity

_JOURNALED = {SERVICE + "Commit": CallKind.COMMIT, SERVICE + "BatchWrite": CallKind.BATCH_WRITE}
_NOT_JOURNALED = frozenset(
    SERVICE + name for name in ("CreateDocument", "UpdateDocument", "DeleteDocument", "Write")
)
_WRITE_SECONDS = 60.0
"""The timeout of a write, independent of its caller's deadline."""
_UNKNOWN_OUTCOMES = frozenset(
    {
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.UNKNOWN,
    }
)
"""After these errors the emulator may have made the write."""
_MAX_UNREAD_RESPONSES = 10_000
_SERVER_STREAMING = frozenset(
    SERVICE + name for name in ("BatchGetDocuments", "RunQuery", "RunAggregationQuery", "ExecutePipeline")
)


async def start_server(link: EmulatorLink, *, listen: str) -> grpc.aio.Server:
    """Start and return a server. Raises RuntimeError when it cannot listen on the address."""
    server = grpc.aio.server(options=SERVER_OPTIONS)
    server.add_generic_rpc_handlers((_Calls(link),))
    server.add_insecure_port(listen)
    await server.start()
    return server


class _Calls(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    def __init__(self, link: EmulatorLink) -> None:
        self._link = link
        self._writing: set[asyncio.Task[bytes]] = set()

    def service(self, details: Any) -> Any:
        method: str = details.method
        if method in _NOT_JOURNALED:
            return grpc.unary_unary_rpc_method_handler(_reject_write)
        if method == SERVICE + "Listen":
            return grpc.stream_stream_rpc_method_handler(self._listen)
        if method in _SERVER_STREAMING:
            return grpc.unary_stream_rpc_method_handler(partial(self._unary_stream, method))
        if method in _JOURNALED:
            return grpc.unary_unary_rpc_method_handler(partial(self._write, method, _JOURNALED[method]))
        return grpc.unary_unary_rpc_method_handler(partial(self._unary, method))

    async def _unary(self, method: str, request: bytes, context: Any) -> bytes:
        channel = await self._channel(context)
        call = channel.unary_unary(method, identity, identity)(
            request, timeout=context.time_remaining(), metadata=_caller_metadata(context)
        )
        response = await _response_of(call, context)
        await self._link.all_stored()
        return response

    async def _write(self, method: str, kind: CallKind, request: bytes, context: Any) -> bytes:
        await self._channel(context)
        journaled = asyncio.create_task(self._journaled(method, kind, request, _caller_metadata(context)))
        self._writing.add(journaled)
        journaled.add_done_callback(self._writing.discard)
        # The write is journaled even if its caller has disconnected: others may have read it.
        return await _response_of(asyncio.shield(journaled), context)

    async def _journaled(self, method: str, kind: CallKind, request: bytes, metadata: Any) -> bytes:
        async with self._link.gate.write():
            channel = await self._link.channel(0)  # an earlier one may have been closed at the gate
            sent_at = self._link.stored_records
            call = channel.unary_unary(method, identity, identity)
            try:
                with self._link.sent_write():
                    response: bytes = await call(request, timeout=_WRITE_SECONDS, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                if error.code() in _UNKNOWN_OUTCOMES:
                    self._link.doubt()
                raise
        await self._link.store(kind, request, response, sent_at=sent_at)
        return response

    async def _unary_stream(self, method: str, request: bytes, context: Any) -> AsyncIterator[bytes]:
        channel = await self._channel(context)
        call = channel.unary_stream(method, identity, identity)(
            request, timeout=context.time_remaining(), metadata=_caller_metadata(context)
        )
        async for response in _read(call, context):
            await self._link.all_stored()
            yield response

    async def _listen(self, requests: Any, context: Any) -> AsyncIterator[bytes]:
        try:
            channel = await self._link.stream_channel(context.time_remaining())
        except EmulatorUnavailableError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        responses: asyncio.Queue[bytes | tuple[grpc.StatusCode, str]] = asyncio.Queue()
        stream = ListenStream(
            self._link,
            channel,
            _caller_metadata(context),
            on_response=responses.put_nowait,
            on_end=lambda code, message: responses.put_nowait((code, message)),
        )

        async def forward_requests() -> None:
            async for request in requests:
                stream.send(request)

        forwarding = asyncio.create_task(forward_requests())
        try:
            while isinstance(response := await responses.get(), bytes):
                yield response
                if responses.qsize() > _MAX_UNREAD_RESPONSES:
                    response = (grpc.StatusCode.RESOURCE_EXHAUSTED, "The caller does not read its stream.")
                    break
            await context.abort(*response)
        finally:
            forwarding.cancel()
            stream.end()

    async def _channel(self, context: Any) -> grpc.aio.Channel:
        try:
            return await self._link.channel(context.time_remaining())
        except EmulatorUnavailableError as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            raise


async def _response_of(response: Awaitable[bytes], context: Any) -> bytes:
    try:
        return await response
    except grpc.aio.AioRpcError as error:
        await _abort_with(error, context)
    except asyncio.CancelledError:
        await _fail_if_emulator_is_lost(context)
    except EmulatorUnavailableError as error:
        await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
    raise AssertionError("the call was aborted")


async def _read(call: Any, context: Any) -> AsyncIterator[bytes]:
    try:
        async for response in call:
            yield response
    except grpc.aio.AioRpcError as error:
        await _abort_with(error, context)
    except asyncio.CancelledError:
        await _fail_if_emulator_is_lost(context)
    finally:
        call.cancel()


def _caller_metadata(context: Any) -> tuple[tuple[str, str | bytes], ...]:
    """Return the caller's metadata without gRPC's own entries."""
    return tuple(
        (key, value)
        for key, value in context.invocation_metadata()
        if not key.startswith("grpc-") and key not in ("user-agent", "te", "content-type")
    )


async def _abort_with(error: grpc.aio.AioRpcError, context: Any) -> None:
    """End the call with the emulator's error, or as unavailable when the emulator is lost."""
    if is_from_grpc(error):
        await _fail_if_emulator_is_lost(context)
    await context.abort(error.code(), error.details() or "", error_details(error))


async def _fail_if_emulator_is_lost(context: Any) -> None:
    """Report a lost emulator, unless the caller itself cancelled the call."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
    await context.abort(grpc.StatusCode.UNAVAILABLE, "The Firestore emulator ended during the call.")


async def _reject_write(_request: bytes, context: Any) -> bytes:
    await context.abort(
        grpc.StatusCode.UNIMPLEMENTED,
        "The local Firestore proxy journals Commit and BatchWrite; use one of these to write.",
    )
    return b""

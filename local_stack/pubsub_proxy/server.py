"""The gRPC server: implements some calls and forwards the others."""

import time
from collections.abc import Callable
from concurrent import futures
from functools import partial
from typing import Any, NoReturn

import grpc
from google.pubsub_v1 import types

from local_stack.grpc_proxy import SERVER_OPTIONS, error_details, identity
from local_stack.pubsub_proxy.emulator_calls import PUBLISHER, SUBSCRIBER, EmulatorCalls
from local_stack.pubsub_proxy.leases import Leases
from local_stack.pubsub_proxy.redelivery import change_deadline
from local_stack.pubsub_proxy.streaming_pull import StreamingPulls, matching
from local_stack.pubsub_proxy.subscription_filter import InvalidFilterError, parse_filter

# Each stream and each waiting pull occupies a thread; threads are created on demand.
_MAX_CONCURRENT_CALLS = 256
# Publishing through the proxy wakes a waiting pull. Polling only finds messages that are
# redelivered.
_PULL_PAUSE_SECONDS = 0.25
_EMPTY = b""  # google.protobuf.Empty on the wire


def start_proxy(*, listen: str, emulator: str) -> grpc.Server:
    """Return a running server. Raises RuntimeError when it cannot listen on the address."""
    pool = futures.ThreadPoolExecutor(max_workers=_MAX_CONCURRENT_CALLS, thread_name_prefix="call")
    server = grpc.server(pool, handlers=(_Calls(EmulatorCalls(emulator)),), options=SERVER_OPTIONS)
    server.add_insecure_port(listen)
    server.start()
    return server


class _Calls(grpc.GenericRpcHandler):  # type: ignore[misc] # grpc has no types
    def __init__(self, emulator: EmulatorCalls) -> None:
        self._emulator = emulator
        self._leases = Leases()
        self._streams = StreamingPulls(emulator, self._leases)

    def service(self, details: Any) -> Any:
        method: str = details.method
        if method == SUBSCRIBER + "StreamingPull":
            return grpc.stream_stream_rpc_method_handler(
                self._streams.serve,
                types.StreamingPullRequest.deserialize,
                types.StreamingPullResponse.serialize,
            )
        if method == SUBSCRIBER + "Pull":
            return _unary(self._pull, types.PullRequest.deserialize, types.PullResponse.serialize)
        if method == SUBSCRIBER + "Acknowledge":
            return _unary(self._acknowledge, types.AcknowledgeRequest.deserialize)
        if method == SUBSCRIBER + "ModifyAckDeadline":
            return _unary(self._modify_deadline, types.ModifyAckDeadlineRequest.deserialize)
        return _unary(partial(self._pass_through, method, self._emulator.raw(method)))

    def _pass_through(self, method: str, call: Any, request: bytes, context: Any) -> bytes:
        if method == SUBSCRIBER + "CreateSubscription":
            _reject_invalid_filter(request, context)
        try:
            response: bytes = call(request, timeout=context.time_remaining())
        except grpc.RpcError as error:
            self._abort_with(error, context)
        if method == PUBLISHER + "Publish":
            self._leases.wake_all()
        return response

    def _acknowledge(self, request: types.AcknowledgeRequest, context: Any) -> bytes:
        try:
            self._emulator.acknowledge(request.subscription, request.ack_ids)
        except grpc.RpcError as error:
            self._abort_with(error, context)
        self._leases.settle(request.ack_ids)
        return _EMPTY

    def _modify_deadline(self, request: types.ModifyAckDeadlineRequest, context: Any) -> bytes:
        seconds = request.ack_deadline_seconds
        try:
            change_deadline(self._emulator, self._leases, request.subscription, request.ack_ids, seconds)
        except grpc.RpcError as error:
            self._abort_with(error, context)
        if seconds == 0:
            self._leases.wake_all()
        return _EMPTY

    def _pull(self, request: types.PullRequest, context: Any) -> types.PullResponse:
        """Serve a unary pull with the filter. Returns messages of a disconnected client."""
        deadline = time.monotonic() + min(context.time_remaining() or 90, 90) - 1
        window = self._leases.open(max_messages=0, max_bytes=0)  # it leases nothing and only serves wake-ups
        context.add_callback(window.changed.set)
        try:
            keep = parse_filter(self._emulator.subscription(request.subscription).filter)
            while True:
                window.changed.clear()  # before polling, so that no change is missed
                pulled = self._emulator.pull(request.subscription, request.max_messages)
                messages = matching(self._emulator, request.subscription, keep, pulled)
                if not context.is_active():
                    ack_ids = [message.ack_id for message in messages]
                    self._emulator.modify_deadline(request.subscription, ack_ids, 0)
                    return types.PullResponse()
                finished = messages or (request.return_immediately and not pulled)
                if finished or time.monotonic() > deadline:
                    return types.PullResponse(received_messages=messages)
                if not pulled:
                    window.changed.wait(_PULL_PAUSE_SECONDS)
        except InvalidFilterError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid filter: {error}")
            raise
        except grpc.RpcError as error:
            self._abort_with(error, context)
        finally:
            self._leases.close(window)

    def _abort_with(self, error: Any, context: Any) -> NoReturn:
        """End the call with the emulator's error."""
        context.set_trailing_metadata(error_details(error))
        context.abort(error.code(), error.details())
        raise error


def _unary(
    serve: Callable[..., Any], read: Callable[..., Any] = identity, write: Callable[..., Any] = identity
) -> Any:
    return grpc.unary_unary_rpc_method_handler(serve, read, write)


def _reject_invalid_filter(request: bytes, context: Any) -> None:
    try:
        parse_filter(types.Subscription.deserialize(request).filter)
    except InvalidFilterError as error:
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid filter: {error}")

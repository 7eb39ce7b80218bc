"""StreamingPull with flow control and filters, implemented by unary pulls."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import structlog
from google.pubsub_v1 import types

from common.backoff import Backoff
from local_stack.pubsub_proxy.emulator_calls import EmulatorCalls
from local_stack.pubsub_proxy.leases import Leases, StreamWindow
from local_stack.pubsub_proxy.redelivery import change_deadline
from local_stack.pubsub_proxy.subscription_filter import Filter, InvalidFilterError, parse_filter

logger = structlog.get_logger(__name__)

# Publishing through the proxy wakes idle streams. Polling only has to find redelivered messages:
# returned ones after their backoff, and expired leases.
_FIRST_PAUSE_SECONDS = 0.005
_MAX_PAUSE_SECONDS = 0.25
_MAX_PER_PULL = 500


class StreamingPulls:
    """All streams of the proxy. Each uses a thread of the server and one more."""

    def __init__(self, emulator: EmulatorCalls, leases: Leases) -> None:
        self._emulator = emulator
        self._leases = leases
        self._returned: queue.SimpleQueue[tuple[str, tuple[str, ...]]] = queue.SimpleQueue()
        threading.Thread(target=self._return_and_expire, name="return-and-expire", daemon=True).start()

    def serve(
        self, requests: Iterator[types.StreamingPullRequest], context: Any
    ) -> Iterator[types.StreamingPullResponse]:
        """The gRPC handler. Ends when the client does, or with the emulator's error."""
        first = next(requests, None)
        if first is None:
            return
        try:
            subscription = self._emulator.subscription(first.subscription)
            window = self._leases.open(
                max_messages=first.max_outstanding_messages, max_bytes=first.max_outstanding_bytes
            )
            # The callback runs when the stream ends for any reason; a suspended generator may never
            # continue.
            if not context.add_callback(lambda: self._close(window, subscription.name)):
                self._close(window, subscription.name)
                return
            stream = _Stream(self._emulator, self._leases, window, subscription, first)
            threading.Thread(
                target=stream.handle_requests, args=(requests,), name="stream-requests", daemon=True
            ).start()
            yield from stream.responses()
        except InvalidFilterError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Invalid filter: {error}")
        except grpc.RpcError as error:
            context.abort(error.code(), error.details())

    def _close(self, window: StreamWindow, subscription: str) -> None:
        unseen = self._leases.close(window)
        if unseen:
            self._returned.put((subscription, unseen))  # gRPC's own thread must not block on the emulator

    def _return_and_expire(self) -> None:
        while True:
            try:
                subscription, ack_ids = self._returned.get(timeout=1)
                self._emulator.modify_deadline(subscription, ack_ids, 0)
            except queue.Empty:
                self._leases.expire()
            except grpc.RpcError as error:
                logger.warning("return_failed", code=str(error.code()))


class _Stream:
    def __init__(
        self,
        emulator: EmulatorCalls,
        leases: Leases,
        window: StreamWindow,
        subscription: types.Subscription,
        first: types.StreamingPullRequest,
    ) -> None:
        self._emulator = emulator
        self._leases = leases
        self._window = window
        self._name = subscription.name
        self._filter: Filter = parse_filter(subscription.filter)
        self._subscription_deadline = subscription.ack_deadline_seconds
        self._deadline = first.stream_ack_deadline_seconds or subscription.ack_deadline_seconds
        self._properties = types.StreamingPullResponse.SubscriptionProperties(
            exactly_once_delivery_enabled=subscription.enable_exactly_once_delivery,
            message_ordering_enabled=subscription.enable_message_ordering,
        )
        self._handle(first)

    def responses(self) -> Iterator[types.StreamingPullResponse]:
        backoff = Backoff(first_seconds=_FIRST_PAUSE_SECONDS, max_seconds=_MAX_PAUSE_SECONDS)
        while not self._window.closed:
            self._window.changed.clear()  # before polling, so that no change is missed
            capacity = self._leases.capacity(self._window)
            messages = self._lease(min(capacity, _MAX_PER_PULL)) if capacity else []
            if messages:
                yield types.StreamingPullResponse(
                    received_messages=messages, subscription_properties=self._properties
                )
            if messages or self._window.changed.wait(backoff.next_pause()):
                backoff.reset()

    def handle_requests(self, requests: Iterator[types.StreamingPullRequest]) -> None:
        try:
            for request in requests:
                self._handle(request)
        except grpc.RpcError as error:
            # An error without a code comes from the client's broken stream; errors of the emulator
            # have a code.
            code = error.code() if isinstance(error, grpc.Call) else "client disconnected"
            logger.warning("stream_request_failed", code=str(code))
        except Exception:  # gRPC raises a plain Exception when the call is cancelled
            logger.debug("stream_requests_ended")

    def _lease(self, at_most: int) -> list[types.ReceivedMessage]:
        """Pull messages that pass the filter, and lease them to this stream."""
        pulled = matching(self._emulator, self._name, self._filter, self._emulator.pull(self._name, at_most))
        ack_ids = [message.ack_id for message in pulled]
        sizes = {message.ack_id: len(message.message.data) for message in pulled}
        attempts = {message.ack_id: message.delivery_attempt for message in pulled}
        if not self._leases.add(self._window, sizes, self._deadline, delivery_attempts=attempts):
            self._emulator.modify_deadline(self._name, ack_ids, 0)
            return []
        if self._deadline != self._subscription_deadline:
            self._emulator.modify_deadline(self._name, ack_ids, self._deadline)
        return pulled

    def _handle(self, request: types.StreamingPullRequest) -> None:
        if request.stream_ack_deadline_seconds:
            self._deadline = request.stream_ack_deadline_seconds
        if request.ack_ids:
            self._emulator.acknowledge(self._name, request.ack_ids)
            self._leases.settle(request.ack_ids)
        changes = zip(request.modify_deadline_ack_ids, request.modify_deadline_seconds, strict=True)
        for ack_id, seconds in changes:
            change_deadline(self._emulator, self._leases, self._name, [ack_id], seconds)


def matching(
    emulator: EmulatorCalls, subscription: str, keep: Filter, messages: list[types.ReceivedMessage]
) -> list[types.ReceivedMessage]:
    """Return the messages that pass the filter. Acknowledges the others."""
    kept = [message for message in messages if keep(message.message.attributes)]
    if len(kept) < len(messages):
        kept_ids = {message.ack_id for message in kept}
        emulator.acknowledge(subscription, [one.ack_id for one in messages if one.ack_id not in kept_ids])
    return kept

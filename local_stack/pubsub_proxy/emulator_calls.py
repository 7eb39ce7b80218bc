"""The proxy's own typed calls to the emulator, and the raw calls that it forwards."""

from collections.abc import Iterable
from typing import Any

import grpc
from google.pubsub_v1 import types

from local_stack.grpc_proxy import identity
from local_stack.pubsub_proxy.ack_ids import AckIds

SUBSCRIBER = "/google.pubsub.v1.Subscriber/"
PUBLISHER = "/google.pubsub.v1.Publisher/"

CHANNEL_OPTIONS = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # With gRPC's defaults, reconnecting to a restarted server takes up to a minute.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 10_000),  # in spite of its name the limit of one attempt
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_TIMEOUT_SECONDS = 10


class EmulatorCalls:
    """Calls of the emulator. All may raise grpc.RpcError."""

    def __init__(self, address: str) -> None:
        self.ack_ids = AckIds()
        self._channel = grpc.insecure_channel(address, options=CHANNEL_OPTIONS)
        self._channel.subscribe(self.ack_ids.on_connectivity)
        self._pull = self._method("Pull", types.PullRequest, types.PullResponse)
        self._subscription = self._method("GetSubscription", types.GetSubscriptionRequest, types.Subscription)
        self._acknowledge = self._method("Acknowledge", types.AcknowledgeRequest)
        self._modify = self._method("ModifyAckDeadline", types.ModifyAckDeadlineRequest)

    def subscription(self, name: str) -> types.Subscription:
        return self._subscription(types.GetSubscriptionRequest(subscription=name), timeout=_TIMEOUT_SECONDS)

    def pull(self, subscription: str, max_messages: int) -> list[types.ReceivedMessage]:
        """Return the available messages, possibly none.

        A blocking pull could return after its stream has ended.
        """
        request = types.PullRequest(
            subscription=subscription, max_messages=max_messages, return_immediately=True
        )
        messages = list(self._pull(request, timeout=_TIMEOUT_SECONDS).received_messages)
        for message in messages:
            message.ack_id = self.ack_ids.stamp(message.ack_id)
        return messages

    def acknowledge(self, subscription: str, ack_ids: Iterable[str]) -> None:
        """Acknowledge messages.

        Ids of messages that a restart has lost are accepted without effect.
        """
        request = types.AcknowledgeRequest(subscription=subscription, ack_ids=self.ack_ids.current(ack_ids))
        if request.ack_ids:
            self._acknowledge(request, timeout=_TIMEOUT_SECONDS)

    def modify_deadline(self, subscription: str, ack_ids: Iterable[str], seconds: int) -> None:
        """Change the deadline; 0 returns the messages to the subscription."""
        request = types.ModifyAckDeadlineRequest(
            subscription=subscription,
            ack_ids=self.ack_ids.current(ack_ids),
            ack_deadline_seconds=seconds,
        )
        if request.ack_ids:
            self._modify(request, timeout=_TIMEOUT_SECONDS)

    def raw(self, method: str) -> Any:
        """Return a callable for any unary method, from bytes to bytes."""
        return self._channel.unary_unary(method, identity, identity)

    def _method(self, name: str, request_type: Any, response_type: Any = None) -> Any:
        deserialize = response_type.deserialize if response_type is not None else identity
        return self._channel.unary_unary(SUBSCRIBER + name, request_type.serialize, deserialize)

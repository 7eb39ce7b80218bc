"""gRPC channels to servers that accept a connection and answer late."""

import selectors
import socket
from collections.abc import Sequence

import grpc
import pytest

from common.adapters import grpc_channels
from local_stack.firestore_proxy import emulator_link
from local_stack.pubsub_proxy import emulator_calls


@pytest.mark.parametrize(
    "options",
    [grpc_channels.CHANNEL_OPTIONS, emulator_link.CHANNEL_OPTIONS, emulator_calls.CHANNEL_OPTIONS],
    ids=["clients", "Firestore proxy", "Pub/Sub proxy"],
)
def test_channel_waits_for_a_slow_server(options: Sequence[tuple[str, int]]) -> None:
    """A busy emulator needs more than a second until the connection is established."""
    with socket.create_server(("127.0.0.1", 0)) as server, selectors.DefaultSelector() as selector:
        channel = grpc.insecure_channel(f"127.0.0.1:{server.getsockname()[1]}", options=options)
        try:
            channel.subscribe(lambda _: None, try_to_connect=True)
            connection, _ = server.accept()
            with connection:
                assert connection.recv(3) == b"PRI", "the channel speaks first"
                selector.register(server, selectors.EVENT_READ)
                assert not selector.select(timeout=1.5), "the channel has given up and connects again"
        finally:
            channel.close()

"""Streaming pull while Pub/Sub refuses every stream."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from gpu_subscriber.adapters.pubsub_deliveries import PubSubDeliveries
from gpu_subscriber.adapters.pubsub_subscriber import subscriber_client
from gpu_subscriber.ports import Settlement

LIBRARY_THREADS = ("Thread-ConsumeBidirectionalStream", "Thread-Heartbeater")


class RefusingPubSub:
    """A server that refuses streams as an overloaded or restarting service does."""

    def __init__(self) -> None:
        self.refused = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "google.pubsub.v1.Subscriber",
                    {"StreamingPull": grpc.stream_stream_rpc_method_handler(self._refuse)},
                ),
            )
        )
        self.host = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _refuse(self, _requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        self.refused.set()
        context.abort(grpc.StatusCode.UNAVAILABLE, "not now")
        yield b""

    def stop(self) -> None:
        self._server.stop(grace=None).wait()


@pytest.fixture
def pubsub() -> Iterator[RefusingPubSub]:
    pubsub = RefusingPubSub()
    yield pubsub
    pubsub.stop()


def test_stream_ends_with_its_threads_when_closed_during_an_outage(pubsub: RefusingPubSub) -> None:
    threads_before = set(threading.enumerate())
    source = PubSubDeliveries(
        subscriber_client(emulator_host=pubsub.host), "p", "s", lease_seconds=60, attempt_timeout_seconds=60
    )
    stream = source.open(lambda _: Settlement.RETURN, slots=1, on_end=lambda: None)
    assert pubsub.refused.wait(60)
    stream.close()
    assert stream.wait_until_ended(60)
    for thread in set(threading.enumerate()) - threads_before:
        if thread.name.startswith(LIBRARY_THREADS):
            thread.join(30)
            assert not thread.is_alive(), thread.name

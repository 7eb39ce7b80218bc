"""The worker's Pub/Sub subscriber clients, which reconnect quickly after an outage and stop at once."""

import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from google.api_core.exceptions import Cancelled
from google.cloud.pubsub_v1 import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from common.adapters.grpc_channels import CHANNEL_OPTIONS, emulator_channel

_REOPEN_SECONDS = 3.0
"""Below the library's own limit of five openings in ten seconds, whatever their offset."""


def subscriber_client(*, emulator_host: str | None) -> SubscriberClient:
    """Return the client with streaming pull and lease management."""
    channel = (
        emulator_channel(emulator_host)
        if emulator_host
        else SubscriberGrpcTransport.create_channel(options=CHANNEL_OPTIONS)
    )
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))


class OneStreamClient(SubscriberClient):  # type: ignore[misc]  # the library has no types
    """A client of one streaming pull, which can be stopped while the service is unavailable.

    The library reopens a failed stream at once and without end. After five times in ten seconds it
    sleeps with its lock held, for up to ten seconds, and it even reopens a closed stream. This
    client pauses between two openings instead, and `stop` ends the pause and the stream.
    """

    def __init__(self, client: SubscriberClient) -> None:
        super().__init__(transport=client.transport)
        self._stopped = threading.Event()
        self._next_opening = time.monotonic()

    def streaming_pull(self, *args: Any, **options: Any) -> Any:
        if self._stopped.wait(self._next_opening - time.monotonic()):
            return _CancelledCall()
        self._next_opening = time.monotonic() + _REOPEN_SECONDS
        return super().streaming_pull(*args, **options)

    def stop(self) -> None:
        """Open no more streams. Thread-safe."""
        self._stopped.set()


class _CancelledCall:
    """A call that was cancelled before it was sent, which ends the library's stream without an error."""

    def is_active(self) -> bool:
        return False

    def cancel(self) -> None:
        pass

    def add_done_callback(self, callback: Callable[[Exception], None]) -> None:
        callback(Cancelled("stopped"))

    def __next__(self) -> NoReturn:
        raise Cancelled("stopped")

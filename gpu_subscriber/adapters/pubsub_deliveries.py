"""Deliveries by streaming pull. Leases outlast stalls of the worker and end soon after a crash."""

import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.pubsub_v1.subscriber.futures import StreamingPullFuture
from google.cloud.pubsub_v1.subscriber.message import Message
from google.cloud.pubsub_v1.subscriber.scheduler import ThreadScheduler
from google.cloud.pubsub_v1.types import FlowControl

from gpu_subscriber.adapters.pubsub_subscriber import OneStreamClient
from gpu_subscriber.ports import Delivery, Settlement

_LEASE_MARGIN_SECONDS = 300.0


class PubSubDeliveries:
    """The DeliverySource of production and of the local stack."""

    def __init__(
        self,
        client: SubscriberClient,
        project_id: str,
        subscription: str,
        *,
        lease_seconds: int,
        attempt_timeout_seconds: float,
    ) -> None:
        self._client = client
        self._subscription = subscription
        self._path = client.subscription_path(project_id, subscription)
        self._lease_seconds = lease_seconds
        # After max_lease_duration the client drops a message that is still being processed and
        # pulls another one, so no attempt may take that long. It may wait for as long as it may
        # generate.
        self._max_lease_seconds = 2 * attempt_timeout_seconds + _LEASE_MARGIN_SECONDS

    def open(
        self, process: Callable[[Delivery], Settlement], *, slots: int, on_end: Callable[[], None]
    ) -> "PubSubStream":
        executor = ThreadPoolExecutor(
            max_workers=slots,
            thread_name_prefix="delivery",
            initializer=_inherit,
            initargs=(contextvars.copy_context(),),
        )
        client = OneStreamClient(self._client)
        future = client.subscribe(
            self._path,
            callback=lambda message: _settle(message, process(self._delivery(message))),
            flow_control=FlowControl(
                max_messages=slots,
                max_lease_duration=self._max_lease_seconds,
                min_duration_per_lease_extension=self._lease_seconds,
                max_duration_per_lease_extension=self._lease_seconds,
            ),
            scheduler=ThreadScheduler(executor),
            # Without this, settlements of deliveries that are being processed at the end would be
            # lost.
            await_callbacks_on_shutdown=True,
        )
        return PubSubStream(future, client.stop, on_end)

    def _delivery(self, message: Message) -> Delivery:
        return Delivery(
            message_id=message.message_id,
            body=message.data,
            attributes=dict(message.attributes),
            subscription=self._subscription,
            delivery_attempt=message.delivery_attempt,
        )


class PubSubStream:
    """One streaming pull. A broken one only resolves its future, which must be checked."""

    def __init__(
        self, future: StreamingPullFuture, stop: Callable[[], None], on_end: Callable[[], None]
    ) -> None:
        self._future = future
        self._stop = stop
        self._ended = threading.Event()
        self._closing = False
        self._on_end = on_end
        future.add_done_callback(self._on_stream_end)

    @property
    def is_open(self) -> bool:
        return not self._closing and not self._ended.is_set()

    @property
    def ended_because(self) -> str | None:
        if not self._ended.is_set():
            return None
        error = self._future.exception(timeout=0)
        return None if error is None else f"{type(error).__name__}: {error}"

    def close(self) -> None:
        self._closing = True
        self._future.cancel()
        self._stop()

    def wait_until_ended(self, timeout_seconds: float) -> bool:
        return self._ended.wait(timeout_seconds)

    def _on_stream_end(self, _future: object) -> None:
        self._ended.set()
        self._on_end()


def _inherit(context: contextvars.Context) -> None:
    """Bind the fields of every log line in this thread."""
    for variable, value in context.items():
        variable.set(value)


def _settle(message: Message, settlement: Settlement) -> None:
    if settlement is Settlement.ACKNOWLEDGE:
        message.ack()
    else:
        message.nack()

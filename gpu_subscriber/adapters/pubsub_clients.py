"""Pub/Sub clients of the worker, whose channels reconnect quickly after an outage."""

import grpc
from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.pubsub_v1.types import SubscriberOptions
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from gpu_subscriber.adapters.pubsub_client_spans import mend_client_spans

_CHANNEL_OPTIONS = (
    # gRPC's defaults reconnect 20 to 55 s after a server is back; these do within about a second.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # As in Google's own client: bodies of 10 MB, and keep-alive to detect dead connections.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
)


def subscriber_client(*, emulator_host: str | None, makes_spans: bool = False) -> SubscriberClient:
    """Return the client with streaming pull and lease management.

    With `makes_spans` it records spans of each delivery (ADR 22).
    """
    if makes_spans:
        mend_client_spans()
    channel = (
        grpc.insecure_channel(emulator_host, options=_CHANNEL_OPTIONS)
        if emulator_host
        else SubscriberGrpcTransport.create_channel(options=_CHANNEL_OPTIONS)
    )
    return SubscriberClient(
        subscriber_options=SubscriberOptions(enable_open_telemetry_tracing=makes_spans),
        transport=SubscriberGrpcTransport(channel=channel),
    )


def publisher_client(*, emulator_host: str | None) -> PublisherClient:
    """Return the generated client: one call, one message, no batching thread.

    Events are few, and each must be confirmed.
    """
    channel = (
        grpc.insecure_channel(emulator_host, options=_CHANNEL_OPTIONS)
        if emulator_host
        else PublisherGrpcTransport.create_channel(options=_CHANNEL_OPTIONS)
    )
    return PublisherClient(transport=PublisherGrpcTransport(channel=channel))

"""gRPC channels of Google's clients, which reconnect within about a second after an outage."""

import grpc
from google.pubsub_v1 import PublisherClient
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport

CHANNEL_OPTIONS = (
    # gRPC's defaults reconnect 20 to 55 s after a server is back.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # in spite of its name the limit of one attempt
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # As in Google's own clients: messages of any size, and keep-alive to detect dead connections.
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.keepalive_time_ms", 30_000),
)


def emulator_channel(host: str, *more_options: tuple[str, str]) -> grpc.Channel:
    """Return an unencrypted channel to an emulator."""
    return grpc.insecure_channel(host, options=(*CHANNEL_OPTIONS, *more_options))


def publisher_client(*, emulator_host: str | None) -> PublisherClient:
    """Return a Pub/Sub client for the emulator if its host is given, else for the real service.

    The real service is called with the machine's identity. Create the client after gunicorn has
    forked: gRPC does not survive a fork. The batching thread of `pubsub_v1.PublisherClient` costs
    1 to 2 ms of CPU per message and has no benefit for a caller that waits for each confirmation,
    so this is the generated client.
    """
    channel = (
        emulator_channel(emulator_host)
        if emulator_host
        else PublisherGrpcTransport.create_channel(options=CHANNEL_OPTIONS)
    )
    return PublisherClient(transport=PublisherGrpcTransport(channel=channel))

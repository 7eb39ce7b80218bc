"""The worker's Pub/Sub subscriber client, whose channel reconnects quickly after an outage."""

from google.cloud.pubsub_v1 import SubscriberClient
from google.cloud.pubsub_v1.types import SubscriberOptions
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from common.adapters.grpc_channels import CHANNEL_OPTIONS, emulator_channel
from gpu_subscriber.adapters.pubsub_client_spans import mend_client_spans


def subscriber_client(*, emulator_host: str | None, makes_spans: bool = False) -> SubscriberClient:
    """Return the client with streaming pull and lease management.

    With `makes_spans` it records spans of each delivery (ADR 22).
    """
    if makes_spans:
        mend_client_spans()
    channel = (
        emulator_channel(emulator_host)
        if emulator_host
        else SubscriberGrpcTransport.create_channel(options=CHANNEL_OPTIONS)
    )
    return SubscriberClient(
        subscriber_options=SubscriberOptions(enable_open_telemetry_tracing=makes_spans),
        transport=SubscriberGrpcTransport(channel=channel),
    )

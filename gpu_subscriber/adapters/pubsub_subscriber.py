"""The worker's Pub/Sub subscriber client, whose channel reconnects quickly after an outage."""

from google.cloud.pubsub_v1 import SubscriberClient
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from common.adapters.grpc_channels import CHANNEL_OPTIONS, emulator_channel


def subscriber_client(*, emulator_host: str | None) -> SubscriberClient:
    """Return the client with streaming pull and lease management."""
    channel = (
        emulator_channel(emulator_host)
        if emulator_host
        else SubscriberGrpcTransport.create_channel(options=CHANNEL_OPTIONS)
    )
    return SubscriberClient(transport=SubscriberGrpcTransport(channel=channel))

"""Shared parts of the gRPC proxies in front of the emulators."""

from typing import Any

SERVER_OPTIONS = (
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    ("grpc.so_reuseport", 0),  # otherwise two proxies could share a port unnoticed
    # Ends the streams of clients that disconnected without notice.
    ("grpc.keepalive_time_ms", 5_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # Clients may send pings this often; by default gRPC would close their connection.
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
)


def identity(message: bytes) -> bytes:
    """The (de)serializer of calls that are passed through."""
    return message


def error_details(error: Any) -> tuple[tuple[str, Any], ...]:
    """Return an error's trailing metadata, of gRPC's own entries only the details for clients."""
    return tuple(
        (key, value)
        for key, value in error.trailing_metadata() or ()
        if key == "grpc-status-details-bin" or not key.startswith("grpc-")
    )

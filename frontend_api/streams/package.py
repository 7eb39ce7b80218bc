"""The package as one record."""

from dataclasses import dataclass

from frontend_api.streams.subscriptions import Subscriptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    subscriptions: Subscriptions
    heartbeat_seconds: float
    """Maximum time that a stream of changes stays silent."""

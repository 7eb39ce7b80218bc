"""The package as one record."""

from dataclasses import dataclass

from frontend_api.streams.listed_snapshots import ListedSnapshots
from frontend_api.streams.subscriptions import Subscriptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Streams:
    subscriptions: Subscriptions
    listed_snapshots: ListedSnapshots
    heartbeat_seconds: float
    """Maximum time that a stream of changes stays silent."""

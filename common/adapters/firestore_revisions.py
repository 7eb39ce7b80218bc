"""Conversion of document revisions to text and back, so that records need no Google types."""

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp


def revision_of(update_time: Any) -> str:
    """Return the revision for the `update_time` of a snapshot or write; exact to the nanosecond."""
    moment = update_time if isinstance(update_time, Timestamp) else update_time.timestamp_pb()
    return f"{moment.seconds}.{moment.nanos:09d}"


def update_time_of(revision: str) -> Timestamp:
    """Return the `last_update_time` for a write option."""
    seconds, _, nanos = revision.partition(".")
    return Timestamp(seconds=int(seconds), nanos=int(nanos))

"""A document's revision as text, for records that must not know Google's types, and back for conditional writes."""

from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp


def revision_of(update_time: Any) -> str:
    """The revision that a snapshot's or a write's `update_time` stands for; exact to the nanosecond."""
    moment = update_time if isinstance(update_time, Timestamp) else update_time.timestamp_pb()
    return f"{moment.seconds}.{moment.nanos:09d}"


def update_time_of(revision: str) -> Timestamp:
    """What a write option's `last_update_time` wants."""
    seconds, _, nanos = revision.partition(".")
    return Timestamp(seconds=int(seconds), nanos=int(nanos))

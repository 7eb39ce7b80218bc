"""The evidence after a test: the submissions, documents, objects and events."""

from collections.abc import Mapping
from dataclasses import dataclass

from common.domain.task import Task, TaskStatus
from common.wire_formats.task_event import TaskEvent

COMPLETED = frozenset({TaskStatus.COMPLETED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A submission that the API accepted with 202. Only these have guarantees."""

    task_id: str
    images: int = 1
    width: int
    height: int
    permitted: frozenset[TaskStatus] = COMPLETED
    """The permitted terminal states: a valid task completes; a cancelled one may have completed
    before.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredObject:
    """An object under `tasks/`. `picture` is None when the bytes are not an image."""

    name: str
    size_bytes: int
    sha256: str
    content_type: str
    picture: tuple[str, int, int] | None
    """Media type detected from the bytes, width, height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    accepted: tuple[Accepted, ...]
    documents: Mapping[str, Task]
    objects: Mapping[str, StoredObject]
    events: tuple[TaskEvent, ...]
    """As received, including duplicates."""
    queue_was_lost: bool = False
    """Whether the Pub/Sub emulator, which keeps nothing on disk, was restarted, so that events may
    be lost.
    """

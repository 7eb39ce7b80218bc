"""What is known after a case: what was accepted, and what Firestore, the bucket and the owners' events say of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from common.domain.task import Task, TaskStatus
from common.wire_formats.task_event import TaskEvent

COMPLETED = frozenset({TaskStatus.COMPLETED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A submission that was answered with 202: nothing else is promised anything."""

    task_id: str
    images: int = 1
    width: int
    height: int
    endings: frozenset[TaskStatus] = COMPLETED
    """How it may end: a good task is completed; one that was cancelled may have been faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenObject:
    """An object under `tasks/`, read back whole. `picture` is None when its bytes are no image."""

    name: str
    size_bytes: int
    sha256: str
    content_type: str
    picture: tuple[str, int, int] | None
    """Media type by its bytes, width, height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Everything the checker judges by."""

    accepted: tuple[Accepted, ...]
    documents: Mapping[str, Task]
    objects: Mapping[str, SeenObject]
    events: tuple[TaskEvent, ...]
    """As received, repetitions and all."""
    queue_was_lost: bool = False
    """The Pub/Sub emulator, which keeps nothing on disk, died meanwhile: events may have died with it."""

"""Check all tasks and objects of a deployment that may be in use.

Documents and objects are read in the order of the task ids, so that the memory in use does not
depend on the number of tasks. A violation is reported only if a second reading shows it, too: tasks
change between the readings of their parts.
"""

import hashlib
import io
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import groupby
from typing import Protocol

from PIL import Image

from common.domain.task import Task, TaskStatus
from frontend_api.rescue.policy import RescuePolicy, Verdict
from tools.integrity.checker import Finding, Kind, check
from tools.integrity.evidence import Accepted, Evidence, StoredObject

_FORMATS = ("PNG", "JPEG", "WEBP", "AVIF")
_DAMAGED = (
    OSError, EOFError, LookupError, RuntimeError, SyntaxError, TypeError, ValueError, struct.error, zlib.error,
    Image.DecompressionBombError,
)  # fmt: skip
"""What Pillow raises for damaged images."""
TERMINAL = frozenset(status for status in TaskStatus if status.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedObject:
    """An object, and when it was stored."""

    stored: StoredObject
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The document of a task. `task` is None if it cannot be decoded."""

    task_id: str
    task: Task | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """All that is stored of one task. `document` is None if there is none."""

    task_id: str
    document: Document | None
    objects: tuple[DatedObject, ...]


class Contents(Protocol):
    """The documents and objects of a deployment."""

    def documents(self) -> Iterator[Document]:
        """Yield all documents in the order of their ids."""

    def objects(self) -> Iterator[DatedObject]:
        """Yield all objects of tasks in the order of their names."""

    def parts(self, task_id: str) -> Parts:
        """Return what is stored of one task now."""


@dataclass(slots=True, kw_only=True)
class Report:
    """What was checked, and the violations."""

    tasks: int = 0
    objects: int = 0
    findings: list[Finding] = field(default_factory=list)


def check_deployment(contents: Contents, *, rescue: RescuePolicy, now: datetime, grace: timedelta) -> Report:
    """Check everything. Delays shorter than `grace` are permitted, and those that `rescue` permits."""
    report = Report()
    for parts in _joined(contents):
        report.tasks += parts.document is not None
        report.objects += len(parts.objects)
        if _findings(parts, rescue, now, grace):
            report.findings += _findings(contents.parts(parts.task_id), rescue, now, grace)
    return report


def object_of(name: str, content: bytes, content_type: str) -> StoredObject:
    """Return the facts that the checker needs of an object, after reading it completely."""
    return StoredObject(
        name=name,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        content_type=content_type,
        picture=_picture(content),
    )


def _joined(contents: Contents) -> Iterator[Parts]:
    """Join documents and objects by task id; both come in this order."""
    objects = ((task_id, tuple(group)) for task_id, group in groupby(contents.objects(), _task_of))
    found = next(objects, None)
    for document in contents.documents():
        while found is not None and found[0] < document.task_id:
            yield Parts(task_id=found[0], document=None, objects=found[1])
            found = next(objects, None)
        own: tuple[DatedObject, ...] = ()
        if found is not None and found[0] == document.task_id:
            own, found = found[1], next(objects, None)
        yield Parts(task_id=document.task_id, document=document, objects=own)
    while found is not None:
        yield Parts(task_id=found[0], document=None, objects=found[1])
        found = next(objects, None)


def _task_of(found: DatedObject) -> str:
    return found.stored.name.split("/")[1]


def _findings(parts: Parts, rescue: RescuePolicy, now: datetime, grace: timedelta) -> list[Finding]:
    return [
        Finding(kind=kind, task_id=parts.task_id, what=what)
        for kind, what in _violations(parts, rescue, now, grace)
    ]


def _violations(
    parts: Parts, rescue: RescuePolicy, now: datetime, grace: timedelta
) -> Iterator[tuple[Kind, str]]:
    task = None if parts.document is None else parts.document.task
    if parts.document is not None and task is None:
        yield Kind.CORRUPT, "its document cannot be decoded"
        return
    own: dict[str, StoredObject] = {}
    for each in parts.objects:
        if task is not None and each.stored.name.startswith(task.folder):
            own[each.stored.name] = each.stored
        elif now - each.at > grace:
            yield Kind.ORPHANED, f"{each.stored.name} has no task"
    if task is not None:
        yield from _of_task(task, own, _overdue(task, rescue, now - grace))


def _of_task(task: Task, objects: Mapping[str, StoredObject], overdue: Verdict) -> Iterator[tuple[Kind, str]]:
    if overdue is Verdict.EVENT_UNPUBLISHED:
        yield Kind.UNTOLD, f"{task.status}, and its final event is unpublished"
    elif overdue is not Verdict.NO_ACTION:
        yield Kind.LOST, f"still {task.status}; rescue should have acted ({overdue})"
    if not task.status.is_terminal:
        return
    parameters = task.parameters
    accepted = Accepted(
        task_id=task.id,
        images=parameters.num_images,
        width=parameters.width,
        height=parameters.height,
        permitted=TERMINAL,
    )
    evidence = Evidence(
        accepted=(accepted,), documents={task.id: task}, objects=objects, events=(), queue_was_lost=True
    )
    yield from ((finding.kind, finding.what) for finding in check(evidence).findings)


def _overdue(task: Task, rescue: RescuePolicy, then: datetime) -> Verdict:
    """Return what rescue should have done with the task at this time, if it has not changed since."""
    return rescue.decide(task, now=then, messages_lost_before=then - rescue.deliver_within)


def _picture(content: bytes) -> tuple[str, int, int] | None:
    """Return media type, width and height of an image; None if it cannot be decoded.

    Only in the workers' formats: others start further programs, and the content is untrusted.
    """
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            picture.load()
            return (Image.MIME[picture.format or ""], picture.width, picture.height)
    except _DAMAGED:
        return None

"""Compare the accepted submissions with the evidence and report violations of the guarantees.

lost        an accepted task lacks its document, permitted terminal state, event or an image
doubled     it finished twice: a second event id, an event of another state, a repeated image
corrupt     an image is missing, differs from the document, cannot be decoded, or belongs to another
            task; or any object is incomplete
miscounted  attempts that do not add up, a claim of a finished task, an image of a later attempt,
            GPU seconds of the attempts that the usage lacks
untold      it is finished, and its final event was not published for a long time
orphaned    an object without a task

A task may finish with a part of its images: cancelled, or completed with `failed_images` where it
may fail. The same guarantees apply to the images that it has; the document must name those that it
lacks.

Leftover objects are permitted: images that a crashed attempt stored under its own number, and
obsolete checkpoints. No document refers to them, and the bucket's lifecycle deletes them with their
task. They must still be complete.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.domain.images import StoredImage, Thumbnail
from common.domain.task import DEFAULT_ATTEMPTS, Task, TaskStatus
from common.domain.task_records import MAX_HISTORY
from common.wire_formats.task_event import TaskEvent, ending_of
from tools.integrity.evidence import Accepted, Evidence, StoredObject

_IMAGE_NAME = re.compile(
    r"(?P<folder>tasks/[^/]+/[^/]+/)attempt-(?P<attempt>\d+)/(?P<index>\d+)\.(?:thumbnail\.)?\w+"
)


class Kind(StrEnum):
    LOST = "lost"
    DOUBLED = "doubled"
    CORRUPT = "corrupt"
    MISCOUNTED = "miscounted"
    UNTOLD = "untold"
    ORPHANED = "orphaned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    kind: Kind
    task_id: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: task {self.task_id}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All findings, and the leftover objects that are permitted."""

    findings: tuple[Finding, ...]
    leftovers: tuple[str, ...] = ()

    def count(self, kind: Kind) -> int:
        return len({finding.task_id for finding in self.findings if finding.kind is kind})


Findings = Iterator[tuple[Kind, str]]


def check(evidence: Evidence) -> Verdict:
    """Check all accepted submissions, and all objects of their tasks."""
    events: dict[str, list[TaskEvent]] = defaultdict(list)
    for event in evidence.events:
        events[event.task_id].append(event)
    objects: dict[str, list[StoredObject]] = defaultdict(list)
    for stored in evidence.objects.values():
        objects[stored.name.split("/")[1]].append(stored)
    findings, leftovers = [], []
    for accepted in evidence.accepted:
        task = evidence.documents.get(accepted.task_id)
        if task is None:
            found: list[tuple[Kind, str]] = [(Kind.LOST, "no document")]
        else:
            own_events, own_objects = events[task.id], objects[task.id]
            found = [
                *_check_status(accepted, task),
                *_check_events(task, own_events, may_be_missing=evidence.queue_was_lost),
                *_check_images(accepted, task, evidence),
                *_check_leftovers(task, own_objects),
                *_check_counters(task),
            ]
            kept = {name for image in task.images for name in image.object_names}
            leftovers += [stored.name for stored in own_objects if stored.name not in kept]
        findings += [Finding(kind=kind, task_id=accepted.task_id, what=what) for kind, what in found]
    return Verdict(findings=tuple(findings), leftovers=tuple(leftovers))


def _check_status(accepted: Accepted, task: Task) -> Findings:
    if not task.status.is_terminal:
        yield Kind.LOST, f"still {task.status}, attempt {task.attempt}"
    elif task.status not in accepted.permitted:
        yield Kind.LOST, f"{task.status}: {task.failure}"
    if task.status is TaskStatus.COMPLETED and task.failure is not None:
        yield Kind.MISCOUNTED, f"completed with a failure: {task.failure.code}"
    if task.status is TaskStatus.FAILED and task.images:
        yield Kind.MISCOUNTED, "failed with images"
    if task.failed_images and TaskStatus.FAILED not in accepted.permitted:
        yield Kind.LOST, f"failed images: {[(image.index, image.code) for image in task.failed_images]}"


def _check_events(task: Task, events: Sequence[TaskEvent], *, may_be_missing: bool) -> Findings:
    """Check that one final event was published: any copies, all of the stored state."""
    if not task.status.is_terminal:
        if events:
            yield Kind.DOUBLED, f"event {events[0].type}, but still {task.status}"
        return
    if not events and not may_be_missing:
        yield Kind.LOST, "no event"
    if len({event.id for event in events}) > 1:
        yield Kind.DOUBLED, f"events {sorted({event.type for event in events})} with several ids"
    elif any(event != ending_of(task) for event in events):
        yield Kind.DOUBLED, "an event that differs from the stored terminal state"


def _check_images(accepted: Accepted, task: Task, evidence: Evidence) -> Findings:
    indices = Counter(image.index for image in task.images)
    named = {image.index for image in task.failed_images}
    if both := named & indices.keys():
        yield Kind.MISCOUNTED, f"images {sorted(both)} are both stored and failed"
    missing = set(range(accepted.images)) - indices.keys() - named
    if missing and task.status is TaskStatus.COMPLETED:
        yield Kind.LOST, f"images {sorted(missing)} are missing"
    if extra := [index for index, times in indices.items() if times > 1 or index >= accepted.images]:
        yield Kind.DOUBLED, f"images {extra} are repeated or not requested"
    for image in task.images:
        if image.seed != task.parameters.seed_of(image.index):
            yield Kind.CORRUPT, f"image {image.index} has a wrong seed"
        yield from _check_file(image, (accepted.width, accepted.height), image.index, task, evidence)
        if (small := image.thumbnail) is not None:
            yield from _check_file(small, (small.width, small.height), image.index, task, evidence)


def _check_file(
    file: StoredImage | Thumbnail, size: tuple[int, int], index: int, task: Task, evidence: Evidence
) -> Findings:
    found = _IMAGE_NAME.fullmatch(file.object_name)
    if found is None or (found["folder"], int(found["index"])) != (task.folder, index):
        yield Kind.CORRUPT, f"{file.object_name} is not a valid name of image {index}"
    elif not 1 <= int(found["attempt"]) <= task.attempt:
        yield Kind.MISCOUNTED, f"{file.object_name} is not of attempts 1 to {task.attempt}"
    stored = evidence.objects.get(file.object_name)
    if stored is None:
        yield Kind.CORRUPT, f"{file.object_name} does not exist"
        return
    if (stored.sha256, stored.size_bytes) != (file.sha256, file.size_bytes):
        yield Kind.CORRUPT, f"{file.object_name} differs in size or checksum from the document"
    if stored.picture != (file.content_type, *size):
        yield Kind.CORRUPT, f"{file.object_name} decodes as {stored.picture}"


def _check_leftovers(task: Task, objects: Sequence[StoredObject]) -> Findings:
    for stored in objects:
        found = _IMAGE_NAME.fullmatch(stored.name)
        if found is None:
            continue  # a checkpoint
        if stored.picture is None:
            yield Kind.CORRUPT, f"{stored.name} is an incomplete image"
        if int(found["attempt"]) > task.attempt:
            yield Kind.MISCOUNTED, f"{stored.name} is of an attempt without a claim"


def _check_counters(task: Task) -> Findings:
    """Check that each claim (`attempt`) used one of `attempts_left`, unless returned."""
    if not 0 <= task.attempts_left <= DEFAULT_ATTEMPTS:
        yield Kind.MISCOUNTED, f"{task.attempts_left} attempts left"
    if task.attempt + task.attempts_left < DEFAULT_ATTEMPTS:
        yield Kind.MISCOUNTED, f"{task.attempts_left} attempts left after {task.attempt}"
    if task.status is TaskStatus.COMPLETED and not (
        task.attempt >= 1 and task.attempts_left < DEFAULT_ATTEMPTS
    ):
        yield Kind.MISCOUNTED, f"completed in attempt {task.attempt} with {task.attempts_left} left"
    if task.status.is_terminal and len(task.history) < MAX_HISTORY:
        spent = sum(attempt.gpu_seconds or 0.0 for attempt in task.history)
        if not math.isclose(task.usage.total_seconds, spent, abs_tol=1e-3) or task.usage.open_runs:
            yield Kind.MISCOUNTED, f"{task.usage.total_seconds} GPU seconds, but the attempts used {spent}"
    if task.status.is_terminal and task.claim is not None:
        yield Kind.MISCOUNTED, f"{task.status}, but still claimed by {task.claim.worker_id}"

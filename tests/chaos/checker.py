"""The checker: compares the accepted submissions with the evidence, as sets, and reports violations of the guarantees.

lost        an accepted task has no document, no terminal state, one that is not permitted, no event, or lacks an image
doubled     it finished more than once: a second event id, an event of another terminal state, an image twice
corrupt     an image is missing, differs from the document, cannot be decoded, or is another one; or any object is
            incomplete
miscounted  attempts that do not add up, a claim that outlived its task, an image of a later attempt,
            device seconds of the attempts that the usage lacks

A task may finish with a part of its images: cancelled, or completed with `failed_images` where it may fail. The same
guarantees apply to the images that it has; the document must name those that it lacks.

Leftover objects are permitted: images that a crashed attempt stored under its own number, and obsolete checkpoints.
No document refers to them, and the bucket's lifecycle deletes them with their task. They must still be complete.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.domain.images import StoredImage
from common.domain.task import DEFAULT_ATTEMPTS, Task, TaskStatus
from common.domain.task_records import MAX_HISTORY
from common.wire_formats.task_event import TaskEvent, ending_of
from tests.chaos.evidence import Accepted, Evidence, SeenObject

_IMAGE_NAME = re.compile(r"(?P<folder>tasks/[^/]+/[^/]+/)attempt-(?P<attempt>\d+)/(?P<index>\d+)\.\w+")


class Kind(StrEnum):
    """The kind of a violation."""

    LOST = "lost"
    DOUBLED = "doubled"
    CORRUPT = "corrupt"
    MISCOUNTED = "miscounted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One violation of a guarantee."""

    kind: Kind
    task_id: str
    what: str

    def __str__(self) -> str:
        return f"{self.kind}: task {self.task_id}: {self.what}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """All findings, and the leftover objects that are permitted."""

    findings: tuple[Finding, ...]
    litter: tuple[str, ...] = ()

    def count(self, kind: Kind) -> int:
        """Return the number of tasks with this kind of violation."""
        return len({finding.task_id for finding in self.findings if finding.kind is kind})


Told = Iterator[tuple[Kind, str]]


def judge(evidence: Evidence) -> Verdict:
    """Check all accepted submissions, and all objects of their tasks."""
    events: dict[str, list[TaskEvent]] = defaultdict(list)
    for event in evidence.events:
        events[event.task_id].append(event)
    objects: dict[str, list[SeenObject]] = defaultdict(list)
    for seen in evidence.objects.values():
        objects[seen.name.split("/")[1]].append(seen)
    findings, litter = [], []
    for accepted in evidence.accepted:
        task = evidence.documents.get(accepted.task_id)
        if task is None:
            told: list[tuple[Kind, str]] = [(Kind.LOST, "there is no document")]
        else:
            own_events, own_objects = events[task.id], objects[task.id]
            told = [
                *_ending(accepted, task),
                *_telling(task, own_events, may_be_missing=evidence.queue_was_lost),
                *_images(accepted, task, evidence),
                *_leftovers(task, own_objects),
                *_counters(task),
            ]
            kept = {image.object_name for image in task.images}
            litter += [seen.name for seen in own_objects if seen.name not in kept]
        findings += [Finding(kind=kind, task_id=accepted.task_id, what=what) for kind, what in told]
    return Verdict(findings=tuple(findings), litter=tuple(litter))


def _ending(accepted: Accepted, task: Task) -> Told:
    if not task.status.is_terminal:
        yield Kind.LOST, f"still {task.status}, attempt {task.attempt}"
    elif task.status not in accepted.endings:
        yield Kind.LOST, f"{task.status}: {task.failure}"
    if task.status is TaskStatus.COMPLETED and task.failure is not None:
        yield Kind.MISCOUNTED, f"completed with a failure: {task.failure.code}"
    if task.status is TaskStatus.FAILED and task.images:
        yield Kind.MISCOUNTED, "failed, though it has images"
    if task.failed_images and TaskStatus.FAILED not in accepted.endings:
        yield Kind.LOST, f"failed images: {[(image.index, image.code) for image in task.failed_images]}"


def _telling(task: Task, events: Sequence[TaskEvent], *, may_be_missing: bool) -> Told:
    """Check that exactly one final event was published: any number of copies, all of the stored
    terminal state.
    """
    if not task.status.is_terminal:
        if events:
            yield Kind.DOUBLED, f"told as {events[0].type} and still {task.status}"
        return
    if not events and not may_be_missing:
        yield Kind.LOST, "its owner was never told"
    if len({event.id for event in events}) > 1:
        yield Kind.DOUBLED, f"told as {sorted({event.type for event in events})}, with several ids"
    elif any(event != ending_of(task) for event in events):
        yield Kind.DOUBLED, "told of another ending than the stored one"


def _images(accepted: Accepted, task: Task, evidence: Evidence) -> Told:
    indices = Counter(image.index for image in task.images)
    named = {image.index for image in task.failed_images}
    if both := named & indices.keys():
        yield Kind.MISCOUNTED, f"images {sorted(both)} are there and failed"
    missing = set(range(accepted.images)) - indices.keys() - named
    if missing and task.status is TaskStatus.COMPLETED:
        yield Kind.LOST, f"images {sorted(missing)} are missing"
    if extra := [index for index, times in indices.items() if times > 1 or index >= accepted.images]:
        yield Kind.DOUBLED, f"images {extra} are too many"
    for image in task.images:
        yield from _image(accepted, task, image, evidence.objects.get(image.object_name))


def _image(accepted: Accepted, task: Task, image: StoredImage, seen: SeenObject | None) -> Told:
    found = _IMAGE_NAME.fullmatch(image.object_name)
    if found is None or (found["folder"], int(found["index"])) != (task.folder, image.index):
        yield Kind.CORRUPT, f"{image.object_name} is no name for image {image.index}"
    elif not 1 <= int(found["attempt"]) <= task.attempt:
        yield Kind.MISCOUNTED, f"{image.object_name} is not of attempts 1 to {task.attempt}"
    if image.seed != task.parameters.seed_of(image.index):
        yield Kind.CORRUPT, f"image {image.index} was drawn with another seed"
    if seen is None:
        yield Kind.CORRUPT, f"{image.object_name} does not exist"
        return
    if (seen.sha256, seen.size_bytes) != (image.sha256, image.size_bytes):
        yield Kind.CORRUPT, f"{image.object_name} holds other bytes than the document says"
    if seen.picture != (image.content_type, accepted.width, accepted.height):
        yield Kind.CORRUPT, f"{image.object_name} decodes as {seen.picture}"


def _leftovers(task: Task, objects: Sequence[SeenObject]) -> Told:
    for seen in objects:
        found = _IMAGE_NAME.fullmatch(seen.name)
        if found is None:
            continue  # a checkpoint
        if seen.picture is None:
            yield Kind.CORRUPT, f"{seen.name} is half an image"
        if int(found["attempt"]) > task.attempt:
            yield Kind.MISCOUNTED, f"{seen.name} is of an attempt that nobody ever claimed"


def _counters(task: Task) -> Told:
    """Check the counters.

    `attempt` counts claims; each claim used one of `attempts_left`, some of which were returned.
    """
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
            yield Kind.MISCOUNTED, f"{task.usage.total_seconds} GPU seconds, and the attempts took {spent}"
    if task.status.is_terminal and task.claim is not None:
        yield Kind.MISCOUNTED, f"{task.status} and still claimed by {task.claim.worker_id}"

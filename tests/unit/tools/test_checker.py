"""The checker detects each kind of violation: evidence with one error each."""

from dataclasses import replace
from datetime import timedelta

import pytest

from common.domain.images import StoredImage, Thumbnail
from common.domain.task import Claim, FailedImage, RunSeconds, Task, TaskStatus, Usage
from common.wire_formats.task_event import ending_of
from tests.factories import NOW, submitted_task
from tools.integrity.checker import Kind, check
from tools.integrity.evidence import Accepted, Evidence, StoredObject

FOLDER = submitted_task().folder
NAME = f"{FOLDER}attempt-1/0.png"
SECOND_NAME = f"{FOLDER}attempt-2/0.png"
IMAGE = StoredImage(
    index=0,
    object_name=NAME,
    width=64,
    height=64,
    seed=12_345,
    content_type="image/png",
    size_bytes=9,
    sha256="abc",
)
STORED = StoredObject(
    name=NAME, size_bytes=9, sha256="abc", content_type="image/png", picture=("image/png", 64, 64)
)
SMALL = Thumbnail(
    object_name=f"{FOLDER}attempt-1/0.thumbnail.webp",
    width=32,
    height=32,
    content_type="image/webp",
    size_bytes=5,
    sha256="def",
)
STORED_SMALL = StoredObject(
    name=SMALL.object_name,
    size_bytes=5,
    sha256="def",
    content_type="image/webp",
    picture=("image/webp", 32, 32),
)
CLAIM = Claim(worker_id="w", attempt=1, expires_at=NOW, claimed_at=NOW)


TASK = submitted_task().claimed_by("w", NOW, timedelta(seconds=60)).completed(CLAIM, (IMAGE,), NOW)


def evidence(task: Task | None, **changes: object) -> Evidence:
    """Return valid evidence for `task`, modified by `changes`."""
    fields: dict[str, object] = {
        "accepted": (Accepted(task_id="task-1", width=64, height=64),),
        "documents": {} if task is None else {task.id: task},
        "objects": {NAME: STORED},
        "events": () if task is None or not task.status.is_terminal else (ending_of(task),),
        **changes,
    }
    return Evidence(**fields)  # type: ignore[arg-type]


def with_thumbnail(small: Thumbnail, stored: StoredObject | None = STORED_SMALL) -> Evidence:
    """Return evidence of a task whose image has this thumbnail."""
    objects = {NAME: STORED} if stored is None else {NAME: STORED, stored.name: stored}
    return evidence(replace(TASK, images=(replace(IMAGE, thumbnail=small),)), objects=objects)


def kinds(found: Evidence) -> set[Kind]:
    return {finding.kind for finding in check(found).findings}


def test_checker_accepts_valid_evidence() -> None:
    event = ending_of(TASK)
    assert not check(evidence(TASK)).findings
    assert not check(evidence(TASK, events=(event, event))).findings
    assert not check(with_thumbnail(SMALL)).findings


RETURNED_ONCE = replace(TASK, attempt=2, images=(replace(IMAGE, object_name=SECOND_NAME),))

REFUSED = FailedImage(index=0, code="content_filtered", message="refused")
MAY_FAIL = Accepted(
    task_id="task-1", width=64, height=64, permitted=frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED})
)

VIOLATIONS: dict[Kind, dict[str, Evidence]] = {
    Kind.LOST: {
        "no document": evidence(None),
        "no terminal state": evidence(replace(TASK, status=TaskStatus.PROCESSING), events=()),
        "a status that is not permitted": evidence(replace(TASK, status=TaskStatus.FAILED, images=())),
        "no event": evidence(TASK, events=()),
        "a failed image that must not fail": evidence(
            replace(TASK, images=(), failed_images=(REFUSED,)), objects={}
        ),
        "no image": evidence(replace(TASK, images=())),
    },
    Kind.DOUBLED: {
        "events of two attempts": evidence(
            TASK,
            events=(ending_of(TASK), ending_of(replace(TASK, attempt=2))),
        ),
        "an event with another time": evidence(
            TASK,
            events=(ending_of(replace(TASK, finished_at=NOW + timedelta(seconds=1))),),
        ),
        "an event before the terminal state": evidence(
            replace(TASK, status=TaskStatus.QUEUED), events=(ending_of(TASK),)
        ),
        "a repeated image": evidence(replace(TASK, images=(IMAGE, IMAGE))),
        "an image that was not requested": evidence(replace(TASK, images=(IMAGE, replace(IMAGE, index=1)))),
    },
    Kind.CORRUPT: {
        "a missing object": evidence(TASK, objects={}),
        "other bytes": evidence(TASK, objects={NAME: replace(STORED, sha256="abd")}),
        "fewer bytes": evidence(TASK, objects={NAME: replace(STORED, size_bytes=8)}),
        "an undecodable object": evidence(TASK, objects={NAME: replace(STORED, picture=None)}),
        "another format": evidence(TASK, objects={NAME: replace(STORED, picture=("image/webp", 64, 64))}),
        "another size": evidence(TASK, objects={NAME: replace(STORED, picture=("image/png", 64, 32))}),
        "another seed": evidence(replace(TASK, images=(replace(IMAGE, seed=1),))),
        "an object of another task": evidence(
            replace(TASK, images=(replace(IMAGE, object_name=NAME.replace("task-1", "task-2")),))
        ),
        "a missing thumbnail": with_thumbnail(SMALL, stored=None),
        "other bytes of a thumbnail": with_thumbnail(SMALL, replace(STORED_SMALL, sha256="deg")),
        "another size of a thumbnail": with_thumbnail(
            SMALL, replace(STORED_SMALL, picture=("image/webp", 64, 64))
        ),
        "a thumbnail of another task": with_thumbnail(
            replace(SMALL, object_name=SMALL.object_name.replace("task-1", "task-2"))
        ),
        "an incomplete leftover image": evidence(
            RETURNED_ONCE,
            objects={
                NAME: replace(STORED, picture=None),
                SECOND_NAME: replace(STORED, name=SECOND_NAME),
            },
        ),
    },
    Kind.MISCOUNTED: {
        "an attempt that was not counted": evidence(replace(TASK, attempts_left=4)),
        "an attempt that was counted twice": evidence(replace(TASK, attempts_left=2)),
        "no attempt": evidence(replace(TASK, attempt=0)),
        "more attempts left than at the start": evidence(replace(TASK, attempts_left=5)),
        "an image of a later attempt": evidence(
            replace(TASK, images=(replace(IMAGE, object_name=SECOND_NAME),)),
            objects={SECOND_NAME: replace(STORED, name=SECOND_NAME)},
        ),
        "an image that is both stored and failed": evidence(replace(TASK, failed_images=(REFUSED,))),
        "failed with an image": evidence(replace(TASK, status=TaskStatus.FAILED), accepted=(MAY_FAIL,)),
        "GPU seconds that the usage lacks": evidence(
            replace(TASK, history=(replace(TASK.history[0], gpu_seconds=29.6),))
        ),
        "open runs of a finished task": evidence(
            replace(TASK, usage=Usage(open_runs=(RunSeconds(index=0, gpu_seconds=1.0),)))
        ),
        "an object of a later attempt": evidence(
            TASK,
            objects={
                NAME: STORED,
                SECOND_NAME: replace(STORED, name=SECOND_NAME),
            },
        ),
        "a claim of a finished task": evidence(replace(TASK, claim=CLAIM)),
    },
}


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        pytest.param(kind, wrong, id=f"{kind}: {what}")
        for kind, cases in VIOLATIONS.items()
        for what, wrong in cases.items()
    ],
)
def test_checker_finds_each_violation(kind: Kind, wrong: Evidence) -> None:
    assert kind in kinds(wrong)


def test_checker_accepts_partial_results_with_named_failures() -> None:
    two = replace(MAY_FAIL, images=2)
    partial = replace(TASK, failed_images=(replace(REFUSED, index=1),))
    assert not check(evidence(partial, accepted=(two,))).findings
    cancelled = replace(TASK, status=TaskStatus.CANCELLED)
    ends = replace(two, permitted=frozenset({TaskStatus.CANCELLED}))
    assert not check(evidence(cancelled, accepted=(ends,))).findings
    earlier = replace(RETURNED_ONCE, images=(IMAGE,))
    assert not check(evidence(earlier)).findings, "an earlier attempt's image that the task refers to"


def test_checker_accepts_objects_of_crashed_attempts() -> None:
    verdict = check(
        evidence(RETURNED_ONCE, objects={NAME: STORED, SECOND_NAME: replace(STORED, name=SECOND_NAME)})
    )
    assert not verdict.findings
    assert verdict.leftovers == (NAME,)


def test_checker_accepts_missing_events_after_a_lost_queue() -> None:
    assert not check(evidence(TASK, events=(), queue_was_lost=True)).findings


def test_checker_accepts_a_permitted_failure() -> None:
    accepted = Accepted(task_id="task-1", width=64, height=64, permitted=frozenset({TaskStatus.FAILED}))
    failed = replace(TASK, status=TaskStatus.FAILED, images=())
    assert not check(evidence(failed, accepted=(accepted,))).findings


def test_verdict_counts_tasks_per_kind() -> None:
    verdict = check(evidence(TASK, events=(), objects={}))
    counts = {kind: verdict.count(kind) for kind in Kind}
    assert counts == {**dict.fromkeys(Kind, 0), Kind.LOST: 1, Kind.CORRUPT: 1}

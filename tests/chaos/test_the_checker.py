"""The checker detects each kind of violation: evidence with one error each."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from common.domain.images import StoredImage
from common.domain.task import Claim, FailedImage, RunSeconds, Task, TaskStatus, Usage
from common.wire_formats.task_event import ending_of
from tests.chaos.checker import Kind, judge
from tests.chaos.evidence import Accepted, Evidence, SeenObject
from tests.factories import NOW, submitted_task

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
SEEN = SeenObject(
    name=NAME, size_bytes=9, sha256="abc", content_type="image/png", picture=("image/png", 64, 64)
)
CLAIM = Claim(worker_id="w", attempt=1, expires_at=NOW, claimed_at=NOW)


def drawn() -> Task:
    claimed = submitted_task().claimed_by("w", NOW, timedelta(seconds=60))
    return claimed.completed(CLAIM, (IMAGE,), NOW)


def evidence(task: Task | None, **changes: object) -> Evidence:
    """Return valid evidence for `task`, modified by `changes`."""
    fields: dict[str, object] = {
        "accepted": (Accepted(task_id="task-1", width=64, height=64),),
        "documents": {} if task is None else {task.id: task},
        "objects": {NAME: SEEN},
        "events": () if task is None or not task.status.is_terminal else (ending_of(task),),
        **changes,
    }
    return Evidence(**fields)  # type: ignore[arg-type]


def kinds(found: Evidence) -> set[Kind]:
    return {finding.kind for finding in judge(found).findings}


def test_when_all_is_well_nothing_is_found() -> None:
    event = ending_of(drawn())
    assert not judge(evidence(drawn())).findings
    assert not judge(evidence(drawn(), events=(event, event))).findings


HANDED_BACK_ONCE = replace(drawn(), attempt=2, images=(replace(IMAGE, object_name=SECOND_NAME),))

REFUSED = FailedImage(index=0, code="content_filtered", message="refused")
MAY_FAIL = Accepted(
    task_id="task-1", width=64, height=64, endings=frozenset({TaskStatus.COMPLETED, TaskStatus.FAILED})
)

LOST: dict[str, Callable[[], Evidence]] = {
    "no document": lambda: evidence(None),
    "no ending": lambda: evidence(replace(drawn(), status=TaskStatus.PROCESSING), events=()),
    "another ending": lambda: evidence(replace(drawn(), status=TaskStatus.FAILED, images=())),
    "no event": lambda: evidence(drawn(), events=()),
    "an image that must not fail": lambda: evidence(
        replace(drawn(), images=(), failed_images=(REFUSED,)), objects={}
    ),
    "no image": lambda: evidence(replace(drawn(), images=())),
}
DOUBLED: dict[str, Callable[[], Evidence]] = {
    "told of two endings": lambda: evidence(
        drawn(), events=(ending_of(drawn()), ending_of(replace(drawn(), attempt=2)))
    ),
    "told of another moment": lambda: evidence(
        drawn(), events=(ending_of(replace(drawn(), finished_at=NOW + timedelta(seconds=1))),)
    ),
    "told before its end": lambda: evidence(
        replace(drawn(), status=TaskStatus.QUEUED), events=(ending_of(drawn()),)
    ),
    "an image twice": lambda: evidence(replace(drawn(), images=(IMAGE, IMAGE))),
    "an image too many": lambda: evidence(replace(drawn(), images=(IMAGE, replace(IMAGE, index=1)))),
}
CORRUPT: dict[str, Callable[[], Evidence]] = {
    "a missing object": lambda: evidence(drawn(), objects={}),
    "other bytes": lambda: evidence(drawn(), objects={NAME: replace(SEEN, sha256="abd")}),
    "fewer bytes": lambda: evidence(drawn(), objects={NAME: replace(SEEN, size_bytes=8)}),
    "no picture": lambda: evidence(drawn(), objects={NAME: replace(SEEN, picture=None)}),
    "another format": lambda: evidence(
        drawn(), objects={NAME: replace(SEEN, picture=("image/webp", 64, 64))}
    ),
    "another size": lambda: evidence(drawn(), objects={NAME: replace(SEEN, picture=("image/png", 64, 32))}),
    "another seed": lambda: evidence(replace(drawn(), images=(replace(IMAGE, seed=1),))),
    "somebody else's object": lambda: evidence(
        replace(drawn(), images=(replace(IMAGE, object_name=NAME.replace("task-1", "task-2")),))
    ),
    "a half image beside it": lambda: evidence(
        HANDED_BACK_ONCE,
        objects={
            NAME: replace(SEEN, picture=None),
            SECOND_NAME: replace(SEEN, name=SECOND_NAME),
        },
    ),
}
MISCOUNTED: dict[str, Callable[[], Evidence]] = {
    "an attempt that cost nothing": lambda: evidence(replace(drawn(), attempts_left=4)),
    "an attempt that cost two": lambda: evidence(replace(drawn(), attempts_left=2)),
    "no attempt": lambda: evidence(replace(drawn(), attempt=0)),
    "more attempts than there are": lambda: evidence(replace(drawn(), attempts_left=5)),
    "an image of an attempt to come": lambda: evidence(
        replace(drawn(), images=(replace(IMAGE, object_name=SECOND_NAME),)),
        objects={SECOND_NAME: replace(SEEN, name=SECOND_NAME)},
    ),
    "an image that is there and failed": lambda: evidence(replace(drawn(), failed_images=(REFUSED,))),
    "failed though it has an image": lambda: evidence(
        replace(drawn(), status=TaskStatus.FAILED), accepted=(MAY_FAIL,)
    ),
    "seconds that are in no figure": lambda: evidence(
        replace(drawn(), history=(replace(drawn().history[0], gpu_seconds=29.6),))
    ),
    "seconds that are still open": lambda: evidence(
        replace(drawn(), usage=Usage(open_runs=(RunSeconds(index=0, gpu_seconds=1.0),)))
    ),
    "an object of an attempt to come": lambda: evidence(
        drawn(),
        objects={
            NAME: SEEN,
            SECOND_NAME: replace(SEEN, name=SECOND_NAME),
        },
    ),
    "a claim that outlived it": lambda: evidence(replace(drawn(), claim=CLAIM)),
}


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        pytest.param(kind, wrong, id=f"{kind}: {what}")
        for kind, cases in (
            (Kind.LOST, LOST),
            (Kind.DOUBLED, DOUBLED),
            (Kind.CORRUPT, CORRUPT),
            (Kind.MISCOUNTED, MISCOUNTED),
        )
        for what, wrong in cases.items()
    ],
)
def test_what_is_wrong_is_found(kind: Kind, wrong: Callable[[], Evidence]) -> None:
    assert kind in kinds(wrong())


def test_a_part_of_the_images_is_no_finding_where_the_others_are_named() -> None:
    two = replace(MAY_FAIL, images=2)
    partial = replace(drawn(), failed_images=(replace(REFUSED, index=1),))
    assert not judge(evidence(partial, accepted=(two,))).findings
    cancelled = replace(drawn(), status=TaskStatus.CANCELLED)
    ends = replace(two, endings=frozenset({TaskStatus.CANCELLED}))
    assert not judge(evidence(cancelled, accepted=(ends,))).findings
    earlier = replace(HANDED_BACK_ONCE, images=(IMAGE,))
    assert not judge(evidence(earlier)).findings, "an earlier attempt's image that the task refers to"


def test_what_a_dead_attempt_stored_is_litter_and_no_finding() -> None:
    verdict = judge(
        evidence(HANDED_BACK_ONCE, objects={NAME: SEEN, SECOND_NAME: replace(SEEN, name=SECOND_NAME)})
    )
    assert not verdict.findings
    assert verdict.litter == (NAME,)


def test_events_may_have_died_with_the_queue_that_held_them() -> None:
    assert not judge(evidence(drawn(), events=(), queue_was_lost=True)).findings


def test_a_task_that_may_fail_may_fail() -> None:
    accepted = Accepted(task_id="task-1", width=64, height=64, endings=frozenset({TaskStatus.FAILED}))
    failed = replace(drawn(), status=TaskStatus.FAILED, images=())
    assert not judge(evidence(failed, accepted=(accepted,))).findings


def test_the_tasks_of_each_kind_are_counted() -> None:
    verdict = judge(evidence(drawn(), events=(), objects={}))
    assert {kind: verdict.count(kind) for kind in Kind} == {
        Kind.LOST: 1,
        Kind.DOUBLED: 0,
        Kind.CORRUPT: 1,
        Kind.MISCOUNTED: 0,
    }

"""A worker's process tree is killed with SIGKILL at each critical moment."""

import random
import statistics
import threading
import time
from collections.abc import Callable

import psutil
import pytest

from common.domain.task import Task, TaskStatus
from tests.chaos.chaos_worker import ChaosWorker
from tests.chaos.rig import PRODUCTION, RecordProperty, Rig
from tests.chaos.waiting import pause, wait_for

pytestmark = pytest.mark.chaos

CHECKPOINT_SECONDS = PRODUCTION["DARKROOM_CHECKPOINT_INTERVAL_SECONDS"]
Arm = Callable[[ChaosWorker], threading.Event]
Effect = Callable[[Rig, str], object]

MOMENTS: dict[str, Arm] = {
    # Each entry is a breakpoint on the wire: the request with these bytes is held, or arrives
    # without a response.
    "before its claim is written": lambda worker: worker.links.firestore.hold(b"processing", arrives=False),
    "after its claim is written": lambda worker: worker.links.firestore.hold(b"processing", arrives=True),
    "after its image is stored": lambda worker: worker.links.storage.hold(b"attempt-1/0", arrives=True),
    "after completed is written": lambda worker: worker.links.firestore.hold(b"completed", arrives=True),
    "before its acknowledgement": lambda worker: worker.links.pubsub.hold(b"task.completed", arrives=True),
}


EFFECTS: dict[str, Effect] = {
    # Killing the worker as soon as the request is sent could cancel the request if the service is
    # slow.
    "after its claim is written": lambda rig, task_id: rig.wait_until(
        task_id, _has_status(TaskStatus.PROCESSING)
    ),
    "after completed is written": lambda rig, task_id: rig.wait_until(
        task_id, _has_status(TaskStatus.COMPLETED)
    ),
    "before its acknowledgement": lambda rig, task_id: rig.site.mailbox.wait_for_copies(
        task_id, 1, timeout_seconds=60
    ),
}


def _has_status(status: TaskStatus) -> Callable[[Task], bool]:
    return lambda task: task.status is status


SHORT = ("after its claim is written", "after completed is written")
"""The moments of the short test run: nothing is stored yet, and everything is."""


@pytest.mark.parametrize(
    "moment",
    [pytest.param(moment, marks=() if moment in SHORT else pytest.mark.chaos_long) for moment in MOMENTS],
)
def test_task_survives_a_killed_worker(rig: Rig, moment: str) -> None:
    victim = rig.start_worker()
    reached = MOMENTS[moment](victim)
    task_id = rig.submit()
    assert reached.wait(60), f"the worker did not reach the moment {moment!r}"
    if moment in EFFECTS:
        EFFECTS[moment](rig, task_id)
    victim.kill()
    rig.start_worker()
    # Its event was published, and will be published again.
    copies = 2 if moment == "before its acknowledgement" else 1
    assert rig.site.mailbox.wait_for_copies(task_id, copies, timeout_seconds=60)
    task = rig.verify()[task_id]
    # Before the claim no attempt was spent; after completion nothing had to be generated again.
    spent = 2 if moment in ("after its claim is written", "after its image is stored") else 1
    assert (task.attempt, task.attempts_left) == (spent, 4 - spent)


def test_task_of_a_killed_worker_resumes_from_its_checkpoint(rig: Rig) -> None:
    victim = rig.start_worker()
    rig.hold(steps=50)
    task_id = rig.submit(steps=100)
    rig.wait_until_drawn(task_id, step=50)  # of 0.02 s: longer than the interval of checkpoints
    wait_for(lambda: any("checkpoint" in name for name in rig.site.objects.of([task_id])), "a checkpoint")
    victim.kill()
    successor = rig.start_worker()
    task = rig.verify()[task_id]
    assert (task.status, task.attempt, task.attempts_left) == (TaskStatus.COMPLETED, 2, 2)
    [resumed] = successor.log_lines("checkpoints_loaded")
    assert resumed["steps"]["0"] > 0


@pytest.mark.chaos_long
def test_killed_worker_loses_at_most_a_tenth_of_a_run(rig: Rig, record_property: RecordProperty) -> None:
    rng, step_seconds, steps = random.Random(5), 0.2, 100
    settings = {
        "CHAOS_STEP_SECONDS": step_seconds,
        "DARKROOM_CHECKPOINT_INTERVAL_SECONDS": CHECKPOINT_SECONDS,
    }
    victim = rig.start_worker(**settings)
    regenerated = []
    for _ in range(3):
        submitted_at = time.monotonic()
        task_ids = [rig.submit(steps=steps) for _ in range(4)]
        for task_id in task_ids:
            rig.wait_until_drawn(task_id, step=1)
        pause(rng.uniform(4.0, 16.0))
        victim.kill()
        generated = (time.monotonic() - submitted_at) / step_seconds  # at most
        successor = rig.start_worker(**settings)
        rig.client.wait_for_all(task_ids)
        resumed = {line["task_id"]: line["steps"]["0"] for line in successor.log_lines("checkpoints_loaded")}
        regenerated += [(generated - resumed[task_id]) / steps for task_id in task_ids]
        victim = successor
    record_property("regenerated_share", regenerated)
    assert statistics.mean(regenerated) <= 0.1
    assert {task.attempt for task in rig.verify().values()} == {2}


def test_engine_exits_when_its_parent_is_killed(rig: Rig) -> None:
    worker = rig.start_worker()
    rig.hold(steps=5)
    task_id = rig.submit(steps=20)
    rig.wait_until_drawn(task_id, step=5)
    engine = worker.engine
    worker.kill_parent()
    assert not psutil.wait_procs([engine], timeout=60)[1], "the engine still runs"
    rig.start_worker()
    assert rig.verify()[task_id].attempt == 2

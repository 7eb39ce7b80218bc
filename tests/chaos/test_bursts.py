"""Many tasks, with workers that are killed repeatedly."""

import time
from itertools import cycle, islice

import pytest

from common.domain.task import TaskStatus
from tests.chaos.rig import PRODUCTION, RecordProperty, Rig

pytestmark = pytest.mark.chaos
long = pytest.mark.chaos_long
BACK_WITHIN_SECONDS = 90.0
KILLS = 3
"""The attempts of a task that may be lost."""


@pytest.mark.parametrize(("tasks", "kill_every_seconds"), [(60, 4.0), pytest.param(500, 10.0, marks=long)])
def test_burst_completes_despite_killed_workers(rig: Rig, tasks: int, kill_every_seconds: float) -> None:
    rig.start_workers(2, CHAOS_STEP_SECONDS=0.05)
    task_ids = [rig.submit(steps=10) for _ in range(tasks)]
    victims = islice(cycle(rig.workers), KILLS)
    while not rig.site.mailbox.wait_for(task_ids, timeout_seconds=kill_every_seconds):
        if (victim := next(victims, None)) is None:
            break
        victim.kill()
        victim.restart()
    ended = rig.verify(timeout_seconds=120 + tasks)
    assert {task.status for task in ended.values()} == {TaskStatus.COMPLETED}


@long
def test_task_of_a_killed_worker_is_rescued_soon(rig: Rig, record_property: RecordProperty) -> None:
    rig.start_workers(2, **PRODUCTION)
    rig.hold(steps=5)
    task_id = rig.submit(steps=20)
    rig.holder_of(rig.wait_until_drawn(task_id, step=5)).kill()
    killed_at = time.monotonic()
    rig.release()
    rig.wait_until(task_id, lambda task: task.attempt == 2, timeout_seconds=BACK_WITHIN_SECONDS)
    record_property("goes_on_after_seconds", time.monotonic() - killed_at)
    assert rig.verify()[task_id].attempts_left == 2


def test_redelivered_task_is_taken_over_before_its_claim_expires(
    rig: Rig, record_property: RecordProperty
) -> None:
    rig.start_workers(2, **PRODUCTION)
    rig.hold(steps=5)
    task_id = rig.submit(steps=20)
    rig.holder_of(rig.wait_until_drawn(task_id, step=5)).kill()
    killed_at = time.monotonic()
    rig.release()
    rig.redeliver(task_id)  # as Pub/Sub does when the stream has ended
    rig.wait_until(task_id, lambda task: task.attempt == 2, timeout_seconds=BACK_WITHIN_SECONDS)
    record_property("goes_on_after_seconds", time.monotonic() - killed_at)
    task = rig.verify()[task_id]
    assert task.attempts_left == 2
    # The worker that received the delivery detected that the claim was not renewed.
    assert [attempt.ending for attempt in task.history] == ["holder_silent", "completed"]

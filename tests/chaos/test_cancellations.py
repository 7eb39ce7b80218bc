"""Cancellation in each phase: one terminal state, one final event."""

from http import HTTPStatus

import pytest

from common.domain.task import TaskStatus
from tests.chaos.rig import LASTING_CLAIMS, Rig

pytestmark = pytest.mark.chaos


def test_queued_task_is_cancelled(rig: Rig) -> None:
    task_id, other = rig.submit(), rig.submit()
    assert rig.cancel(task_id).status_code == HTTPStatus.OK
    rig.start_worker()
    tasks = rig.verify()
    assert (tasks[task_id].status, tasks[task_id].attempt) == (TaskStatus.CANCELLED, 0)
    assert tasks[other].status is TaskStatus.COMPLETED


def test_cancellation_event_is_published_after_a_pubsub_outage(rig: Rig) -> None:
    task_id = rig.submit()
    link = rig.site.api_links.pubsub
    link.refuse()
    assert rig.cancel(task_id).json()["status"] == "cancelled"
    assert not rig.site.mailbox.count_finished([task_id])
    link.restore()
    assert rig.verify()[task_id].attempt == 0  # no worker runs, so the API publishes the event


def test_rescue_fails_a_task_after_its_deadline(rig: Rig) -> None:
    task_id = rig.submit(deadline_seconds=1, permitted=frozenset({TaskStatus.FAILED}))
    failure = rig.verify()[task_id].failure
    assert failure is not None
    assert failure.code == "deadline_exceeded"


def test_task_is_cancelled_once_when_cancelled_twice(rig: Rig) -> None:
    worker = rig.start_worker(**LASTING_CLAIMS)
    rig.hold(steps=3)
    task_id, other = (rig.submit(steps=20) for _ in range(2))
    for each in (task_id, other):
        rig.wait_until_drawn(each)
    worker.process.suspend()  # the task must not be cancelled before the second request
    for _ in range(2):
        assert rig.cancel(task_id).status_code == HTTPStatus.ACCEPTED
    worker.process.resume()
    rig.wait_until(task_id, lambda task: task.status is TaskStatus.CANCELLED)
    rig.release()
    tasks = rig.verify()
    assert tasks[task_id].status is TaskStatus.CANCELLED
    assert (tasks[other].status, tasks[other].attempt) == (TaskStatus.COMPLETED, 1)
    assert rig.cancel(task_id).status_code == HTTPStatus.OK
    assert rig.verify()[task_id] == tasks[task_id]


def test_task_is_cancelled_while_its_worker_drains(rig: Rig) -> None:
    # The worker polls so rarely that only the drain can find the cancellation.
    worker = rig.start_worker(DARKROOM_CANCELLATION_LOOK_SECONDS=30)
    rig.hold()
    task_id, other = (rig.submit(steps=20) for _ in range(2))
    for one in (task_id, other):
        rig.wait_until_drawn(one)
    rig.cancel(task_id)
    assert worker.stop() == 0
    rig.start_worker()
    tasks = rig.verify()
    assert (tasks[task_id].status, tasks[task_id].attempt) == (TaskStatus.CANCELLED, 1)
    assert (tasks[other].status, tasks[other].attempt) == (TaskStatus.COMPLETED, 2)


@pytest.mark.parametrize(
    "arrives", [False, True], ids=["before its image is stored", "after its image is stored"]
)
def test_task_is_cancelled_around_the_upload(rig: Rig, arrives: bool) -> None:
    worker = rig.start_worker()
    reached = worker.links.storage.hold(b"attempt-1/0", arrives=arrives)
    task_id = rig.submit()
    assert reached.wait(60)
    rig.cancel(task_id)
    worker.links.storage.reset()
    rig.verify()


def test_cancellation_races_the_last_step(rig: Rig) -> None:
    rig.start_worker(CHAOS_STEP_SECONDS=0.01)
    for steps in range(1, 31):
        task_id = rig.submit(steps=steps)
        rig.cancel(task_id)
    ends = {task.status for task in rig.verify().values()}
    assert ends <= {TaskStatus.COMPLETED, TaskStatus.CANCELLED}

"""Two workers hold the same task: redeliveries, zombies, blocked heartbeats, wrong clocks."""

import pytest

from common.domain.task import TaskStatus
from tests.chaos.chaos_worker import ChaosWorker
from tests.chaos.rig import LASTING_CLAIMS, PRODUCTION, Rig
from tests.chaos.waiting import pause, wait_for

pytestmark = pytest.mark.chaos
long = pytest.mark.chaos_long


def abandoned(worker: ChaosWorker, task_id: str) -> bool:
    """Return whether this worker detected that another worker holds the task, and abandoned it."""
    return any(
        line["task_id"] == task_id and line["result"] in ("claim_lost", "invalid_transition")
        for line in worker.log_lines("attempt_finished")
    )


def test_task_runs_once_despite_repeated_deliveries(rig: Rig) -> None:
    rig.start_workers(2, **LASTING_CLAIMS)
    rig.hold(steps=5)
    task_id = rig.submit(steps=20)
    rig.redeliver(task_id, times=3)
    rig.wait_until_drawn(task_id, step=5)
    rig.redeliver(task_id, times=3)
    rig.release()
    assert rig.site.mailbox.wait_for([task_id], timeout_seconds=90)
    rig.redeliver(task_id)
    assert rig.site.mailbox.wait_for_copies(task_id, 2, timeout_seconds=60)
    task = rig.verify()[task_id]
    assert (task.attempt, task.attempts_left) == (1, 3)


def test_result_of_a_zombie_is_rejected(rig: Rig) -> None:
    zombie = rig.start_worker()
    rig.hold(steps=10)
    task_id = rig.submit(steps=20)
    rig.wait_until_drawn(task_id, step=10)
    zombie.process.suspend()
    rig.start_worker()
    ended = rig.client.wait_for_end(task_id)
    assert (ended.status, ended.attempt) == (TaskStatus.COMPLETED, 2)
    zombie.process.resume()
    wait_for(lambda: abandoned(zombie, task_id), "the zombie to abandon the task")
    assert rig.verify()[task_id] == ended


@long
def test_worker_abandons_its_task_when_its_heartbeat_is_blocked(rig: Rig) -> None:
    slow = rig.start_worker(CHAOS_STEP_SECONDS=0.3, DARKROOM_SLOTS=1)
    # So that it has no capacity for what rescue publishes.
    task_ids = [rig.submit(steps=100) for _ in range(2)]
    rig.wait_until_drawn(task_ids[0], step=2)
    rig.wait_until(task_ids[1], lambda task: task.claim is not None)
    slow.links.firestore.stall()
    rig.start_worker()
    ended = rig.client.wait_for_all(task_ids)
    slow.links.restore()
    for task_id in task_ids:
        wait_for(lambda task_id=task_id: abandoned(slow, task_id), "the slow worker to abandon the task")  # type: ignore[misc]
    assert rig.verify() == ended
    assert {task.attempt for task in ended.values()} == {2}


def test_restarted_pod_does_not_renew_its_predecessors_claim(rig: Rig) -> None:
    worker = rig.start_worker()
    rig.hold(steps=5)
    task_id = rig.submit(steps=20)
    rig.wait_until_drawn(task_id, step=5)
    worker.kill()
    worker.restart()
    task = rig.verify()[task_id]
    assert (task.attempt, task.attempts_left) == (2, 2)
    before, after = worker.log_lines("worker_started")
    assert before["worker_id"] != after["worker_id"]


@long
@pytest.mark.parametrize("seconds", [2, 5, 12, 30])
def test_worker_keeps_its_task_after_a_short_stall(rig: Rig, seconds: int) -> None:
    rig.start_workers(2, CHAOS_STEP_SECONDS=0.05, **PRODUCTION)
    task_id = rig.submit(steps=60)
    worker = rig.holder_of(rig.wait_until_drawn(task_id, step=5))
    worker.process.suspend()
    pause(seconds)
    worker.process.resume()
    task = rig.verify(timeout_seconds=180)[task_id]
    assert (task.attempt, task.attempts_left) == (1, 3)


@long
def test_worker_loses_its_task_after_a_long_stall(rig: Rig) -> None:
    rig.start_workers(2, CHAOS_STEP_SECONDS=0.05, **PRODUCTION)
    task_id = rig.submit(steps=100)
    worker = rig.holder_of(rig.wait_until_drawn(task_id, step=5))
    worker.process.suspend()
    pause(120)
    ended = rig.client.wait_for_end(task_id)
    worker.process.resume()
    wait_for(lambda: abandoned(worker, task_id), "the zombie to abandon the task")
    assert rig.verify()[task_id] == ended
    assert ended.attempt == 2


@long
@pytest.mark.parametrize("seconds", [2, 30])
def test_stalled_engine_keeps_its_lease(rig: Rig, seconds: int) -> None:
    rig.start_workers(2, CHAOS_STEP_SECONDS=0.05)
    task_id = rig.submit(steps=60)
    engine = rig.holder_of(rig.wait_until_drawn(task_id, step=5)).engine
    engine.suspend()
    pause(seconds)
    engine.resume()
    task = rig.verify()[task_id]
    assert (task.attempt, task.attempts_left) == (1, 3)


@long
def test_task_longer_than_a_lease_runs_once(rig: Rig) -> None:
    rig.start_workers(2, CHAOS_STEP_SECONDS=0.11)
    task_id = rig.submit(steps=100)  # longer than a lease
    task = rig.verify()[task_id]
    assert (task.attempt, task.attempts_left) == (1, 3)
    finished = [line for worker in rig.workers for line in worker.log_lines("attempt_finished")]
    assert [line["delivery_attempt"] for line in finished if line["task_id"] == task_id] == [1]


@long
def test_task_runs_once_when_its_lease_expires(rig: Rig) -> None:
    holder = rig.start_worker(CHAOS_STEP_SECONDS=0.25)
    task_id = rig.submit(steps=100)
    rig.wait_until_drawn(task_id)
    holder.links.pubsub.stall()  # it runs and renews its claim, but cannot extend the lease
    other = rig.start_worker()
    wait_for(lambda: any(other.log_lines("attempt_finished")), "the delivery to reach the other worker")
    holder.links.restore()
    task = rig.verify()[task_id]
    assert (task.attempt, task.attempts_left) == (1, 3)


@pytest.mark.parametrize("seconds", [30, 600])
def test_wrong_clocks_of_workers_cause_no_violation(rig: Rig, seconds: int) -> None:
    for skew in (-seconds, seconds):
        rig.start_worker(WORKER_CLOCK_SKEW_SECONDS=skew, CHAOS_STEP_SECONDS=0.05)
    task_ids = [rig.submit(steps=30) for _ in range(8)]
    for task_id in task_ids:
        rig.redeliver(task_id)
    tasks = rig.verify()
    assert {task.status for task in tasks.values()} == {TaskStatus.COMPLETED}
    assert {(task.attempt, task.attempts_left) for task in tasks.values()} == {(1, 3)}

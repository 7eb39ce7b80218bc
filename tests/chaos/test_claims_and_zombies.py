"""Two workers that both assume to hold the same task: redeliveries, zombies, blocked heartbeats,
wrong clocks.
"""

import pytest

from common.domain.task import TaskStatus
from tests.chaos.chaos_worker import ChaosWorker
from tests.chaos.rig import PRODUCTION, Rig
from tests.chaos.waiting import let_pass, wait_for

pytestmark = pytest.mark.chaos
long = pytest.mark.chaos_long


def thrown_away(worker: ChaosWorker, task_id: str) -> bool:
    """Return whether this worker detected that another worker holds the task, and abandoned it."""
    return any(
        line["task_id"] == task_id and line["result"] in ("claim_lost", "invalid_transition")
        for line in worker.log_lines("attempt_finished")
    )


def test_a_delivery_that_comes_again_and_again_is_drawn_once(rig: Rig) -> None:
    rig.start_workers(2, CHAOS_STEP_SECONDS=0.05)
    task_id = rig.submit(steps=30)
    rig.deliver_again(task_id, times=3)
    rig.wait_until_drawn(task_id, step=5)
    rig.deliver_again(task_id, times=3)
    rig.every_promise_kept()
    rig.deliver_again(task_id)
    assert rig.site.mailbox.wait_for_copies(task_id, 2, timeout_seconds=60)
    task = rig.every_promise_kept()[task_id]
    assert (task.attempt, task.attempts_left) == (1, 3)


def test_a_zombie_is_refused_and_its_images_are_not_served(rig: Rig) -> None:
    zombie = rig.start_worker(CHAOS_STEP_SECONDS=0.05)
    task_id = rig.submit(steps=60)
    rig.wait_until_drawn(task_id, step=40)
    zombie.process.suspend()
    rig.start_worker()
    ended = rig.client.wait_for_end(task_id)
    assert (ended.status, ended.attempt) == (TaskStatus.COMPLETED, 2)
    zombie.process.resume()
    wait_for(lambda: thrown_away(zombie, task_id), "the zombie to give up")
    assert rig.every_promise_kept()[task_id] == ended


@long
def test_a_holder_whose_heartbeat_is_blocked_loses_its_claim_and_throws_its_work_away(rig: Rig) -> None:
    slow = rig.start_worker(CHAOS_STEP_SECONDS=0.3, DARKROOM_SLOTS=1)
    # So that it has no capacity for what rescue publishes.
    task_ids = [rig.submit(steps=100) for _ in range(2)]
    rig.wait_until_drawn(task_ids[0], step=2)
    rig.wait_until(task_ids[1], lambda task: task.claim is not None)
    slow.links.firestore.stall()
    rig.start_worker()
    ended = rig.client.wait_for_all(task_ids)
    slow.links.pass_on()
    for task_id in task_ids:
        wait_for(lambda task_id=task_id: thrown_away(slow, task_id), "the slow holder to notice")  # type: ignore[misc]
    assert rig.every_promise_kept() == ended
    assert {task.attempt for task in ended.values()} == {2}


def test_a_pod_restarted_under_its_old_name_does_not_keep_its_predecessors_claim_alive(rig: Rig) -> None:
    worker = rig.start_worker(CHAOS_STEP_SECONDS=0.05)
    task_id = rig.submit(steps=60)
    rig.wait_until_drawn(task_id, step=5)
    worker.kill()
    worker.restart()
    task = rig.every_promise_kept()[task_id]
    assert (task.attempt, task.attempts_left) == (2, 2)
    before, after = worker.log_lines("worker_started")
    assert before["worker_id"] != after["worker_id"]


@long
@pytest.mark.parametrize("seconds", [2, 5, 12, 30])
def test_a_stall_shorter_than_its_claim_costs_a_worker_nothing(rig: Rig, seconds: int) -> None:
    rig.start_workers(2, CHAOS_STEP_SECONDS=0.05, **PRODUCTION)
    task_id = rig.submit(steps=60)
    worker = rig.holder_of(rig.wait_until_drawn(task_id, step=5))
    worker.process.suspend()
    let_pass(seconds)
    worker.process.resume()
    task = rig.every_promise_kept(timeout_seconds=180)[task_id]
    assert (task.attempt, task.attempts_left) == (1, 3)


@long
def test_a_stall_longer_than_its_claim_makes_a_worker_a_zombie(rig: Rig) -> None:
    rig.start_workers(2, CHAOS_STEP_SECONDS=0.05, **PRODUCTION)
    task_id = rig.submit(steps=100)
    worker = rig.holder_of(rig.wait_until_drawn(task_id, step=5))
    worker.process.suspend()
    let_pass(120)
    ended = rig.client.wait_for_end(task_id)
    worker.process.resume()
    wait_for(lambda: thrown_away(worker, task_id), "the zombie to give up")
    assert rig.every_promise_kept()[task_id] == ended
    assert ended.attempt == 2


@long
@pytest.mark.parametrize("seconds", [2, 30])
def test_a_stalled_engine_loses_no_lease(rig: Rig, seconds: int) -> None:
    rig.start_workers(2, CHAOS_STEP_SECONDS=0.05)
    task_id = rig.submit(steps=60)
    engine = rig.holder_of(rig.wait_until_drawn(task_id, step=5)).engine
    engine.suspend()
    let_pass(seconds)
    engine.resume()
    task = rig.every_promise_kept()[task_id]
    assert (task.attempt, task.attempts_left) == (1, 3)


@long
def test_a_long_task_is_not_drawn_twice(rig: Rig) -> None:
    rig.start_workers(2, CHAOS_STEP_SECONDS=0.11)
    task_id = rig.submit(steps=100)  # longer than a lease
    task = rig.every_promise_kept()[task_id]
    assert (task.attempt, task.attempts_left) == (1, 3)
    finished = [line for worker in rig.workers for line in worker.log_lines("attempt_finished")]
    assert [line["delivery_attempt"] for line in finished if line["task_id"] == task_id] == [1]


@long
def test_a_delivery_whose_lease_ran_out_under_its_holder_is_drawn_once(rig: Rig) -> None:
    holder = rig.start_worker(CHAOS_STEP_SECONDS=0.25)
    task_id = rig.submit(steps=100)
    rig.wait_until_drawn(task_id)
    holder.links.pubsub.stall()  # it runs and renews its claim, but cannot extend the lease
    other = rig.start_worker()
    wait_for(lambda: any(other.log_lines("attempt_finished")), "the delivery to come to the other worker")
    holder.links.pass_on()
    task = rig.every_promise_kept()[task_id]
    assert (task.attempt, task.attempts_left) == (1, 3)


def test_clocks_that_are_half_a_minute_off_harm_nobody(rig: Rig) -> None:
    for skew in (-30, 30):
        rig.start_worker(CHAOS_CLOCK_SKEW_SECONDS=skew, CHAOS_STEP_SECONDS=0.05)
    task_ids = [rig.submit(steps=30) for _ in range(8)]
    for task_id in task_ids:
        rig.deliver_again(task_id)
    tasks = rig.every_promise_kept()
    assert {task.status for task in tasks.values()} == {TaskStatus.COMPLETED}

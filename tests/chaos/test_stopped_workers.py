"""Workers stopped with SIGTERM lose no task and spend no attempt."""

import time

import pytest

from common.domain.task import TaskStatus
from tests.chaos.engines import DEMO_MODEL, STAND_IN
from tests.chaos.rig import LEASE_SECONDS, RecordProperty, Rig
from tests.chaos.waiting import pause

pytestmark = pytest.mark.chaos


@pytest.mark.parametrize(
    ("engine", "side"), [(STAND_IN, 64), pytest.param(DEMO_MODEL, 384, marks=pytest.mark.chaos_long)]
)
def test_task_of_a_stopped_worker_resumes_at_its_step(
    rig: Rig, engine: str, side: int, record_property: RecordProperty
) -> None:
    rig.start_workers(2, engine=engine, DARKROOM_DRAIN_DEADLINE_SECONDS=0, DARKROOM_CPU_THREADS=1)
    undisturbed = rig.submit(seed=7, steps=40, side=side)
    rig.client.wait_for_end(undisturbed, timeout_seconds=240)
    rig.hold(steps=20)
    task_id = rig.submit(seed=7, steps=40, side=side)
    seen = rig.wait_until_drawn(task_id, step=20)
    first = rig.holder_of(seen)
    [second] = [worker for worker in rig.workers if worker is not first]

    stopped_at = time.monotonic()
    first.process.ask_to_stop()
    rig.wait_until_drawn(task_id, attempt=2)
    record_property("goes_on_after_seconds", time.monotonic() - stopped_at)
    rig.release()

    assert first.process.wait_stopped(60)
    assert first.process.exit_code == 0
    task = rig.verify(timeout_seconds=240)[task_id]
    assert (task.attempt, task.attempts_left) == (2, 3)
    assert [attempt.ending for attempt in task.history] == ["handed_back", "completed"]
    [loaded] = second.log_lines("checkpoints_loaded")
    assert loaded["steps"]["0"] >= seen.progress.step
    assert rig.pixels(task_id) == rig.pixels(undisturbed)


@pytest.mark.chaos_long
def test_task_completes_after_ten_preemptions(rig: Rig) -> None:
    times = 10
    worker = rig.start_worker(CHAOS_STEP_SECONDS=0.2)
    task_id = rig.submit(steps=100)
    for preemption in range(1, times + 1):
        rig.wait_until_drawn(task_id, attempt=preemption)
        assert worker.stop() == 0
        worker = rig.start_worker(CHAOS_STEP_SECONDS=0.2 if preemption < times else 0.01)
    task = rig.verify()[task_id]
    assert (task.status, task.attempt, task.attempts_left) == (TaskStatus.COMPLETED, times + 1, 3)


@pytest.mark.chaos_long
def test_acknowledgements_survive_a_shutdown(rig: Rig) -> None:
    first = rig.start_worker()
    task_ids = [rig.submit(steps=5) for _ in range(12)]
    rig.client.wait_for_end(task_ids[2])
    assert first.stop() == 0
    finished = {
        line["task_id"] for line in first.log_lines("attempt_finished") if line["settlement"] == "acknowledge"
    }
    assert finished
    second = rig.start_worker()
    rig.verify()
    pause(LEASE_SECONDS + 1)  # a lost acknowledgement would have caused a redelivery by then
    assert not finished & {line["task_id"] for line in second.log_lines("attempt_finished")}

"""Undecodable deliveries, tasks that crash the engine, and images that do not fit into memory."""

import json
from collections.abc import Mapping

import pytest

from common.domain.task import TaskStatus
from tests.chaos.engines import DEADLY, NARROW
from tests.chaos.rig import Rig

pytestmark = pytest.mark.chaos
FAILED = frozenset({TaskStatus.FAILED})

GOOD_BODY: Mapping[str, object] = {
    "version": "1.0",
    "task_id": "no-such-task",
    "user_id": "ada",
    "submitted_at": "2026-01-01T00:00:00+00:00",
    "payload": {},
    "result_bucket": "images",
}
BODIES = {
    "not JSON": b"\xff\x00 junk",
    "a version from the future": json.dumps({**GOOD_BODY, "version": "2.0"}).encode(),
    "missing fields": b'{"version": "1.0"}',
    "wrong types": json.dumps({**GOOD_BODY, "payload": [], "task_id": 7}).encode(),
    "ten megabytes of junk": b"x" * 9_500_000,
}


def test_undecodable_messages_are_dead_lettered(rig: Rig) -> None:
    for body in BODIES.values():
        rig.site.publish(body, {"model": "demo"})
    rig.start_worker()
    task_id = rig.submit()
    letters = rig.site.dead_letters(len(BODIES))
    assert {letter.data[:100] for letter in letters} == {body[:100] for body in BODIES.values()}
    assert all(letter.attributes["dead_letter_reason"] for letter in letters)
    assert rig.verify()[task_id].attempt == 1


def test_poisonous_task_fails_without_costing_others_attempts(rig: Rig) -> None:
    worker = rig.start_worker()
    rig.hold()
    neighbours = [rig.submit(steps=20) for _ in range(2)]
    for neighbour in neighbours:
        rig.wait_until_drawn(neighbour)
    poison = rig.submit(DEADLY, permitted=FAILED)
    later = rig.submit()
    tasks = rig.verify()
    assert tasks[poison].attempt <= 4
    failure = tasks[poison].failure
    assert failure is not None
    assert failure.code == "engine_crashed"
    assert {ended.ending for ended in tasks[poison].history} == {"engine_crashed"}
    assert [(tasks[task_id].attempt, tasks[task_id].attempts_left) for task_id in neighbours] == [
        (1, 3),
        (1, 3),
    ]
    assert tasks[later].attempt == 1
    ends = [line["end"] for line in worker.log_lines("engine_ended")]
    assert ends
    assert set(ends) == {"SIGKILL"}


def test_task_is_retried_when_the_engine_is_killed(rig: Rig) -> None:
    worker = rig.start_worker()
    rig.hold(steps=5)
    task_id = rig.submit(steps=20)
    rig.wait_until_drawn(task_id, step=5)
    worker.engine.kill()  # as the OOM killer does with the process that uses the memory
    task = rig.verify()[task_id]
    assert (task.status, task.attempt) == (TaskStatus.COMPLETED, 2)


def test_task_completes_after_its_engine_hangs(rig: Rig) -> None:
    rig.start_worker(DARKROOM_ENGINE_SILENCE_SECONDS=2)
    rig.hold(steps=5)  # without end
    task_id = rig.submit(steps=20)
    task = rig.verify()[task_id]
    assert [ended.ending for ended in task.history] == ["engine_hung", "completed"]


@pytest.mark.chaos_long
def test_engine_halves_batches_when_out_of_memory(rig: Rig) -> None:
    worker = rig.start_worker(engine=NARROW)
    crowd = rig.submit(num_images=4, steps=4)
    rig.client.wait_for_end(crowd)
    later = [rig.submit(num_images=2, steps=2) for _ in range(2)]
    tasks = rig.verify()
    assert {tasks[task_id].attempt for task_id in (crowd, *later)} == {1}
    assert any(worker.log_lines("batch_halved"))
    assert not any(worker.log_lines("engine_ended"))

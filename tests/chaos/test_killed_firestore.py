"""SIGKILL to the Firestore emulator: every accepted task is kept and finishes."""

import random
from http import HTTPStatus

import pytest

from tests.chaos.rig import Rig
from tests.chaos.waiting import pause

pytestmark = pytest.mark.chaos


def test_accepted_tasks_survive_a_killed_firestore(rig: Rig) -> None:
    accepted = [rig.submit(f"a circle accepted before the kill, {number}") for number in range(20)]
    rig.site.stack.restart("firestore-emulator")
    stored = rig.site.documents.of(accepted)
    assert set(stored) == set(accepted)
    assert all(task is not None for task in stored.values())
    rig.start_worker()
    rig.verify()


def test_running_tasks_survive_a_killed_firestore(rig: Rig) -> None:
    rig.start_worker()
    rig.hold()
    drawn = rig.submit(steps=20)
    waiting = [rig.submit(steps=4) for _ in range(5)]
    rig.wait_until_drawn(drawn)
    rig.site.stack.restart("firestore-emulator")
    rig.release()
    waiting.append(rig.submit(steps=4))
    tasks = rig.verify()
    assert set(tasks) == {drawn, *waiting}


@pytest.mark.chaos_long
def test_no_task_is_lost_when_firestore_is_killed_repeatedly(rig: Rig) -> None:
    rng = random.Random(3)
    rig.start_workers(2, CHAOS_STEP_SECONDS=0.02)
    for _ in range(10):
        accepted = 0
        while accepted < 20:
            accepted += rig.try_submit(steps=10).status_code == HTTPStatus.ACCEPTED
        pause(rng.uniform(0, 2))
        rig.site.stack.restart("firestore-emulator")
    rig.verify(timeout_seconds=240)

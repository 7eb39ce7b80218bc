"""SIGKILL to the Firestore emulator, which keeps everything in memory: every accepted task is kept
and finishes.
"""

import random
from http import HTTPStatus

import pytest

from tests.chaos.rig import Rig
from tests.chaos.waiting import let_pass

pytestmark = pytest.mark.chaos


def test_tasks_accepted_right_before_a_kill_of_firestore_end(rig: Rig) -> None:
    accepted = [rig.submit(f"a circle accepted before the kill, {number}") for number in range(20)]
    rig.site.restart_firestore()
    stored = rig.site.documents.of(accepted)
    assert set(stored) == set(accepted)
    assert all(task is not None for task in stored.values())
    rig.start_worker()
    rig.every_promise_kept()


def test_tasks_drawn_during_a_kill_of_firestore_end(rig: Rig) -> None:
    rig.start_worker(CHAOS_STEP_SECONDS=0.05)
    drawn = rig.submit(steps=60)
    waiting = [rig.submit(steps=4) for _ in range(5)]
    rig.wait_until_drawn(drawn, step=5)
    rig.site.restart_firestore()
    waiting.append(rig.submit(steps=4))
    tasks = rig.every_promise_kept()
    assert set(tasks) == {drawn, *waiting}


@pytest.mark.chaos_long
def test_firestore_killed_again_and_again_under_load_loses_no_task(rig: Rig) -> None:
    dice = random.Random(3)
    rig.start_workers(2, CHAOS_STEP_SECONDS=0.02)
    for _ in range(10):
        accepted = 0
        while accepted < 20:
            accepted += rig.try_submit(steps=10).status_code == HTTPStatus.ACCEPTED
        let_pass(dice.uniform(0, 2))
        rig.site.restart_firestore()
    rig.every_promise_kept(timeout_seconds=300)

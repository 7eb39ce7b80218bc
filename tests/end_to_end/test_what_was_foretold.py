"""What the running system foretells: workers report, the API adds up, and what is told comes about true."""

import pytest

from client import Client, Task, TaskStatus
from tests.end_to_end.conftest import System

pytestmark = pytest.mark.end_to_end
PROMPT = "a large red circle on a white background"
MORE_THAN_ARE_DRAWN_AT_ONCE = 12


def test_what_was_told_at_submission_is_of_the_order_of_what_came_true(system: System) -> None:
    with Client(system.stack.page_url) as client:
        client.generate(PROMPT, steps=4)
        burst = [client.submit(PROMPT, steps=20, seed=seed) for seed in range(MORE_THAN_ARE_DRAWN_AT_ONCE)]
        estimate = client.estimate(PROMPT, steps=20)
        ended = [client.wait(task, timeout_seconds=120) for task in burst]
        assert client.queue().workers == client.model("demo").workers == 1
    assert (estimate.feasible, estimate.reason) == (True, None)
    assert estimate.queue_position >= 1
    for told, came in zip(burst, ended, strict=True):
        assert came.status is TaskStatus.COMPLETED
        # The machine may be busy with anything: the order of magnitude is what can be promised here.
        assert p90_of(told) / 30 < took(came) < 30 * p90_of(told)


def p90_of(task: Task) -> float:
    assert task.eta is not None
    assert task.eta.p90_seconds is not None
    return task.eta.p90_seconds


def took(task: Task) -> float:
    assert task.finished_at is not None
    return (task.finished_at - task.created_at).total_seconds()

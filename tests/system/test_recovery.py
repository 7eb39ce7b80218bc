"""Processes stop with and without a drain, and every accepted task still finishes once."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from common.domain.task import TaskStatus
from darkroom import Client, RetryPolicy
from darkroom import TaskStatus as ClientTaskStatus
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.system.conftest import IMPATIENT, System, start
from tests.system_client import SystemClient

pytestmark = pytest.mark.end_to_end
PROMPT = "a large blue square on a white background"
SETTINGS = {
    **IMPATIENT,
    "DARKROOM_DRAIN_DEADLINE_SECONDS": "1",
    "DARKROOM_PUBLISH_TIMEOUT_SECONDS": "5",
    "DARKROOM_RESCUE_NEVER_ENQUEUED_SECONDS": "2",
}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A stack for tests that stop its processes and start them again."""
    with ExitStack() as exits:
        folder = tmp_path_factory.mktemp("recovery")
        yield start(exits, folder, rescue_interval_seconds=1, extra_environment=SETTINGS)


def test_stopped_workers_task_is_finished_by_another(system: System) -> None:
    with system.held_engine(steps=10):
        task_id = system.client.submit(PROMPT, steps=100, num_images=2, seed=5)
        system.client.wait_until_drawn(task_id, step=10)
        worker = system.stack.process("worker-0")
        worker.ask_to_stop()
        assert worker.wait_stopped(timeout_seconds=60)
    assert worker.exit_code == 0
    handed_back = system.client.wait_until(task_id, lambda task: task.status is TaskStatus.QUEUED)
    assert handed_back.attempts_left == 4
    system.stack.restart("worker-0")
    ended = system.client.wait_for_end(task_id)
    assert (ended.status, ended.attempt, len(ended.images)) == (TaskStatus.COMPLETED, 2, 2)


def test_killed_workers_task_is_generated_by_another(system: System) -> None:
    with system.held_engine(steps=10):
        task_id = system.client.submit(PROMPT, steps=100, num_images=2, width=128, height=128)
        system.client.wait_until_drawn(task_id, step=10)
        system.stack.restart("worker-0")
    ended = system.client.wait_for_end(task_id)
    assert (ended.status, ended.attempt, ended.attempts_left) == (TaskStatus.COMPLETED, 2, 2)


def test_accepted_tasks_survive_a_restart_of_the_stack(tmp_path: Path) -> None:
    def stack() -> LocalStack:
        return LocalStack(StackSettings(data_directory=tmp_path, rescue_interval_seconds=1))

    with stack() as first:
        assert first.page_url is not None
        with SystemClient(first.page_url, first.environment) as client:
            finished = client.completed(PROMPT, steps=2)
            body = client.image(finished.id)
            first.process("worker-0").suspend()  # no worker processes later submissions
            waiting = [client.submit(PROMPT, steps=2, seed=seed) for seed in range(3)]
            first.process("worker-0").kill()
    with stack() as second:
        assert second.page_url is not None
        with SystemClient(second.page_url, second.environment) as client:
            assert client.image(finished.id) == body
            ended = client.wait_for_all(waiting)
            assert {task.status for task in ended.values()} == {TaskStatus.COMPLETED}
            assert {task.attempt for task in ended.values()} <= {1, 2}


def test_submissions_complete_after_an_outage_of_pubsub(
    system: System,
) -> None:
    system.stack.process("pubsub-emulator").kill()
    answer = system.client.http.post("/v1/tasks", json={"prompt": PROMPT, "steps": 2})
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    problem = answer.json()
    assert (problem["code"], problem["retryable"]) == ("dependency_unavailable", True)
    assert system.client.http.get("/readyz").status_code == 503
    system.stack.restart("pubsub-emulator")
    ended = system.client.wait_for_end(problem["task_id"])
    assert ended.status is TaskStatus.COMPLETED


def test_stream_survives_a_restart_of_the_api(system: System) -> None:
    retries = RetryPolicy(max_retries=20)
    with system.held_engine(), Client(system.stack.page_url, retries=retries) as darkroom:
        task = darkroom.submit(PROMPT, steps=100)
        snapshots = darkroom.stream(task)
        assert not next(snapshots).status.is_terminal
        system.stack.restart("api")
        darkroom.cancel(task)
        assert list(snapshots)[-1].status is ClientTaskStatus.CANCELLED

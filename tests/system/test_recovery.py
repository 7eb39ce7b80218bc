"""Processes stop with and without a drain, and every accepted task still finishes once."""

from pathlib import Path

import pytest

from common.domain.task import TaskStatus
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.system.conftest import IMPATIENT, StartSystem
from tests.system_client import SystemClient

pytestmark = pytest.mark.end_to_end
PROMPT = "a large blue square on a white background"


def test_stopped_workers_task_is_finished_by_another(start_system: StartSystem) -> None:
    # On a fast machine all of the work would fit into the default deadline.
    system = start_system(extra_environment={"DARKROOM_DRAIN_DEADLINE_SECONDS": "1"})
    task_id = system.client.submit(PROMPT, steps=100, num_images=2, width=384, height=384, seed=5)
    system.client.wait_until_under_way(task_id)
    worker = system.stack.process("worker-0")
    worker.ask_to_stop()
    assert worker.wait_stopped(timeout_seconds=60)
    assert worker.exit_code == 0
    handed_back = system.client.wait_until(task_id, lambda task: task.status is TaskStatus.QUEUED)
    assert handed_back.attempts_left == 4
    system.stack.restart("worker-0")
    ended = system.client.wait_for_end(task_id)
    assert (ended.status, ended.attempt, len(ended.images)) == (TaskStatus.COMPLETED, 2, 2)


def test_killed_workers_task_is_generated_by_another(start_system: StartSystem) -> None:
    system = start_system(extra_environment=IMPATIENT)
    task_id = system.client.submit(PROMPT, steps=100, num_images=2)
    system.client.wait_until_under_way(task_id)
    system.stack.restart("worker-0")
    ended = system.client.wait_for_end(task_id, timeout_seconds=120)
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
    start_system: StartSystem,
) -> None:
    system = start_system(
        rescue_interval_seconds=1,
        extra_environment={
            "DARKROOM_PUBLISH_TIMEOUT_SECONDS": "1",
            "DARKROOM_RESCUE_NEVER_ENQUEUED_SECONDS": "2",
        },
    )
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

"""ETAs in the running system: workers report, and the API computes."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pytest

from darkroom import Client, Task, TaskStatus
from local_stack import application
from local_stack.loopback import free_port
from local_stack.processes.child_process import ChildProcess
from tests.system.conftest import System, start

pytestmark = pytest.mark.end_to_end
PROMPT = "a large red circle on a white background"
MORE_THAN_ARE_DRAWN_AT_ONCE = 12
TASKS = 12
SMALL: dict[str, Any] = {"steps": 20, "width": 128, "height": 128}


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A stack of its own: the tasks of other tests would calibrate these estimates."""
    with ExitStack() as exits:
        yield start(exits, tmp_path_factory.mktemp("predictions"))


def test_tasks_of_a_burst_have_etas_and_positions(system: System) -> None:
    with Client(system.stack.page_url) as client:
        client.generate(PROMPT, steps=4)
        with system.held_engine():
            burst = [client.submit(PROMPT, seed=seed, **SMALL) for seed in range(MORE_THAN_ARE_DRAWN_AT_ONCE)]
            estimate = client.estimate(PROMPT, **SMALL)
        ended = [client.wait(task, timeout_seconds=120) for task in burst]
        assert client.queue().workers == client.model("demo").workers == 1
    assert (estimate.feasible, estimate.reason) == (True, None)
    assert estimate.queue_position >= 1
    assert {task.status for task in ended} == {TaskStatus.COMPLETED}
    assert all(p90_of(task) > 0 for task in burst)


@pytest.fixture
def other_api(system: System, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of a second API process on the same stack."""
    port = free_port()
    environment = {**system.stack.environment, "DARKROOM_METRIC_EXPORTER": "none"}
    process = ChildProcess(
        application.api(port=port, environment=environment),
        logs_directory=tmp_path,
        stack_environment=system.stack.environment,
    )
    process.start()
    try:
        process.wait_until_ready()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.ask_to_stop()
        if not process.wait_stopped(15):
            process.kill()


def test_sequential_tasks_have_position_zero_in_every_process(system: System, other_api: str) -> None:
    with Client(system.stack.page_url) as here, Client(other_api) as there:
        here.generate(PROMPT, steps=4)
        positions, estimated = [], []
        for number, client in enumerate(islice(cycle((here, here, there, there)), TASKS)):
            estimated.append(client.estimate(PROMPT, steps=2).queue_position)
            task = client.submit(PROMPT, steps=2, seed=number)
            positions.append(task.queue_position)
            assert task.eta is not None
            assert client.wait(task, timeout_seconds=120).status is TaskStatus.COMPLETED
    assert positions == estimated == [0] * TASKS


def p90_of(task: Task) -> float:
    assert task.eta is not None
    assert task.eta.p90_seconds is not None
    return task.eta.p90_seconds

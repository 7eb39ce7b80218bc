"""Programs are killed under a supervised stack, which recovers without intervention."""

from pathlib import Path
from queue import SimpleQueue

import pytest

from common.domain.task import TaskStatus
from local_stack.data_directory import DataDirectory
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.engine_gate import WORKER_MODULE, EngineGate, engine_of
from tests.supervision import watched
from tests.system.conftest import IMPATIENT
from tests.system_client import SystemClient

pytestmark = pytest.mark.end_to_end
PROMPT = "a large blue square on a white background"
PROGRAMS = ("pubsub-proxy", "bucket-server", "api", "worker-0", "scheduler")
"""All except the emulators, which have their state in memory."""


def ready_again(news: "SimpleQueue[str]", names: set[str]) -> None:
    """Wait until all of them are ready again."""
    while names:
        line = news.get(timeout=60)
        if " is ready again after " in line:
            names = names - {line.partition(" ")[0]}


def test_task_completes_when_processes_are_killed(tmp_path: Path) -> None:
    news: SimpleQueue[str] = SimpleQueue()
    gate = EngineGate(tmp_path / "gate")
    settings = StackSettings(
        data_directory=tmp_path,
        rescue_interval_seconds=2,
        worker_module=WORKER_MODULE,
        extra_environment={**IMPATIENT, **gate.environment},
    )
    with LocalStack(settings, news.put) as stack, watched(stack):
        assert stack.page_url is not None
        with SystemClient(stack.page_url, stack.environment) as client:
            gate.hold(engine_of(stack.process("worker-0")), steps=10)
            task_id = client.submit(PROMPT, steps=100, num_images=2, width=128, height=128)
            client.wait_until_drawn(task_id, step=10)
            for name in PROGRAMS:
                stack.process(name).kill()
            ended = client.wait_for_end(task_id, timeout_seconds=250)
            assert (ended.status, len(ended.images)) == (TaskStatus.COMPLETED, 2)
            assert ended.attempt >= 2
            ready_again(news, set(PROGRAMS))
            again = client.completed(PROMPT, steps=2)
            assert client.image(again.id)
        state = DataDirectory(tmp_path).state()
        assert state is not None
        assert {name for name, count in state.restarts.items() if count} == set(PROGRAMS)

"""The whole system as real processes: one shared stack for tests that only use it, separate ones
for tests that break it.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.engine_gate import WORKER_MODULE, EngineGate, engine_of
from tests.system_client import SystemClient

IMPATIENT = {
    # Another worker takes over a killed worker's tasks within seconds; all else has default
    # settings.
    "DARKROOM_CLAIM_TTL_SECONDS": "6",
    "DARKROOM_HEARTBEAT_INTERVAL_SECONDS": "1",
    "DARKROOM_LEASE_SECONDS": "10",
    # Tests that hold an engine need all images of a task in one batch; a busy machine may measure
    # that smaller batches are faster.
    "DARKROOM_MEASURE_AT_START": "false",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A running stack and a client for it."""

    stack: LocalStack
    data_directory: Path
    client: SystemClient
    gate: EngineGate

    @contextmanager
    def held_engine(self, *, steps: int = 1) -> Iterator[None]:
        """Within the block, the engine takes only so many steps: no longer task can finish."""
        with self.gate.held(engine_of(self.stack.process("worker-0")), steps=steps):
            yield


StartSystem = Callable[..., System]


def start(exits: ExitStack, data_directory: Path, **settings: Any) -> System:
    """Start a stack that `exits` stops."""
    gate = EngineGate(data_directory / "gate")
    environment = {**gate.environment, **settings.pop("extra_environment", {})}
    stack = exits.enter_context(
        LocalStack(
            StackSettings(
                data_directory=data_directory,
                worker_module=WORKER_MODULE,
                extra_environment=environment,
                **settings,
            )
        )
    )
    assert stack.page_url is not None
    client = exits.enter_context(SystemClient(stack.page_url, stack.environment))
    return System(stack=stack, data_directory=data_directory, client=client, gate=gate)


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """The shared stack for tests that leave it unchanged."""
    with ExitStack() as exits:
        yield start(exits, tmp_path_factory.mktemp("system"))


@pytest.fixture
def start_system(tmp_path: Path) -> Iterator[StartSystem]:
    """A function that starts a stack for one test, which ends with the test."""
    with ExitStack() as exits:
        yield lambda **settings: start(exits, settings.pop("data_directory", tmp_path), **settings)

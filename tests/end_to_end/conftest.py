"""The whole system as real processes: one stack for the tests that only use it, own ones for those that hurt it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local_stack.stack import LocalStack
from local_stack.stack_settings import StackSettings
from tests.system_client import SystemClient

IMPATIENT = {
    # What a killed worker held comes to another within seconds; nothing else differs from the defaults.
    "DARKROOM_CLAIM_TTL_SECONDS": "6",
    "DARKROOM_HEARTBEAT_INTERVAL_SECONDS": "1",
    "DARKROOM_LEASE_SECONDS": "10",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """A running stack, and a client of it."""

    stack: LocalStack
    client: SystemClient


StartSystem = Callable[..., System]


def _start(exits: ExitStack, data_directory: Path, **settings: Any) -> System:
    stack = exits.enter_context(LocalStack(StackSettings(data_directory=data_directory, **settings)))
    assert stack.page_url is not None
    return System(stack=stack, client=exits.enter_context(SystemClient(stack.page_url, stack.environment)))


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One stack for all tests that leave it as it is."""
    with ExitStack() as exits:
        yield _start(exits, tmp_path_factory.mktemp("system"))


@pytest.fixture
def start_system(tmp_path: Path) -> Iterator[StartSystem]:
    """Starts a stack of the test's own; it ends with the test."""
    with ExitStack() as exits:
        yield lambda **settings: _start(exits, settings.pop("data_directory", tmp_path), **settings)

"""The checks before a stack starts, and the variables for the project's programs."""

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local_stack.composition import Composition
from local_stack.data_directory import DataDirectory
from local_stack.errors import PortTakenError
from local_stack.free_ports import free_port, is_free
from local_stack.provisioning import ResourceNames
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack


def test_taken_port_raises_a_message_and_releases_the_directory(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        stack = LocalStack(StackSettings(data_directory=tmp_path, port=port))
        with pytest.raises(PortTakenError, match=rf"Port {port} is in use .* PORT="), stack:
            pass
    assert not DataDirectory(tmp_path).is_in_use()
    assert DataDirectory(tmp_path).state() is None


def test_free_port_is_below_the_ephemeral_range() -> None:
    port = free_port()
    assert is_free(port)
    assert port < 32768


def compose(tmp_path: Path, **settings: object) -> Composition:
    wanted = StackSettings(data_directory=tmp_path, **settings)  # type: ignore[arg-type]
    return Composition(wanted, DataDirectory(tmp_path), lambda _: None)


def test_each_process_has_a_separate_port(tmp_path: Path) -> None:
    composition = compose(tmp_path, port=18123)
    environments = [composition.api().environment, *(composition.worker(n).environment for n in range(3))]
    assert environments[0]["PORT"] == "18123"
    assert len({composition.ports[name] for name in composition.ports}) == len(composition.ports) == 12
    assert composition.page_url == "http://localhost:18123/"
    assert composition.host("api") == composition.host("api") == "127.0.0.1:18123"


def test_environment_contains_names_addresses_and_the_token(tmp_path: Path) -> None:
    names = ResourceNames(project_id="demo-other", tasks_topic="t")
    composition = compose(tmp_path, names=names, extra_environment={"DARKROOM_SLOTS": "2"})
    environment = composition.worker(0).environment
    assert environment["DARKROOM_PROJECT_ID"] == environment["GOOGLE_CLOUD_PROJECT"] == "demo-other"
    assert environment["DARKROOM_SUBSCRIPTION"] == "t-demo"
    assert environment["PUBSUB_EMULATOR_HOST"] == composition.host("pubsub-proxy")
    assert environment["STORAGE_EMULATOR_HOST"].startswith("http://127.0.0.1:")
    assert environment["DARKROOM_SLOTS"] == "2"
    assert environment["DARKROOM_HEALTH_PORT"] == str(composition.ports["worker-0"])
    tick = composition.scheduler(queue_created_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert tick.environment["DARKROOM_INTERNAL_TOKEN"] == environment["DARKROOM_INTERNAL_TOKEN"]
    assert all(environment["DARKROOM_INTERNAL_TOKEN"] not in word for word in tick.argv)
    assert tick.argv[-1] == "2026-01-01T00:00:00+00:00"


def test_stack_has_no_page_without_an_api(tmp_path: Path) -> None:
    assert compose(tmp_path, serves_api=False).page_url is None

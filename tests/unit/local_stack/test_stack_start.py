"""The checks before a stack starts."""

import socket
from pathlib import Path

import pytest

from local_stack import loopback
from local_stack.data_directory import DataDirectory
from local_stack.errors import PortTakenError
from local_stack.loopback import PortReservations, free_port, is_free
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


def test_reserved_port_is_not_chosen_again_before_its_release(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    monkeypatch.setattr(loopback, "_FIRST_PORT", port)
    monkeypatch.setattr(loopback, "_LAST_PORT", port)
    stack = PortReservations()
    assert stack.reserve() == port
    with pytest.raises(PortTakenError):
        PortReservations().reserve()
    with socket.create_server(("127.0.0.1", port)):  # the reservation leaves the port to its owner
        pass
    stack.release()
    assert free_port() == port

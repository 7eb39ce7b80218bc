"""Where the processes of a local stack listen."""

import socket

import pytest

from tests.system.conftest import System

pytestmark = pytest.mark.end_to_end
OTHER_LOOPBACK = "127.0.0.2"
"""Reaches a process that listens on all interfaces, and none that listens on another address."""


def is_reachable(host: str, port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex((host, port)) == 0


def test_every_process_listens_on_the_loopback_address_only(system: System) -> None:
    with socket.create_server(("", 0)) as on_all:
        assert is_reachable(OTHER_LOOPBACK, on_all.getsockname()[1])
    ports = system.stack.ports
    hosts = {name: system.stack.host(name).partition(":")[0] for name in ports}
    hosts["firestore-websocket"] = hosts["firestore-emulator"]
    assert all(host.startswith("127.") for host in hosts.values())
    assert [name for name, port in ports.items() if not is_reachable(hosts[name], port)] == []
    assert [name for name, port in ports.items() if is_reachable(OTHER_LOOPBACK, port)] == []
    # A page can try all ports of 127.0.0.1, and this emulator answers every page.
    hidden = {name for name, port in ports.items() if not is_reachable("127.0.0.1", port)}
    assert hidden == {"firestore-emulator", "firestore-websocket"}

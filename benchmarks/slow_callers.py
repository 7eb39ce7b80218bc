"""Effect of slow callers on other submissions: one gunicorn process, the API with fakes.

Each slow caller sends the headers and one byte of the body per second, and reconnects when the API
closes its request. All callers have the same address.
"""

import socket
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import httpx

from benchmarks.measurement import milliseconds, percentile, ratios, repeating, spread_of
from local_stack.loopback import LOOPBACK
from tests.served_api import served_by_gunicorn

SUBMISSIONS = 200
ROUNDS = 3
_HEAD = (
    b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 500000\r\n\r\n"
)


class SlowCallers:
    """Connections that send a byte at a time."""

    def __init__(self, port: int, count: int) -> None:
        self._port = port
        self._count = count
        self._connections: list[socket.socket] = []

    def send(self) -> None:
        """Send one byte on each connection. Replaces closed connections."""
        while len(self._connections) < self._count:
            connection = socket.create_connection((LOOPBACK, self._port))
            connection.sendall(_HEAD)
            self._connections.append(connection)
        for connection in list(self._connections):
            try:
                connection.send(b" ")
            except OSError:
                self._connections.remove(connection)
                connection.close()

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


def run() -> Iterator[str]:
    rounds: dict[int, list[list[float]]] = {0: [], 90: [], 600: []}
    with served_by_gunicorn() as port:
        _submissions(port)
        for _ in range(ROUNDS):
            for count, durations in rounds.items():
                with closing(SlowCallers(port, count)) as callers:
                    callers.send()
                    with repeating(callers.send, every_seconds=1):
                        durations.append(_submissions(port))
    p99s = {count: [percentile(each, 99) for each in durations] for count, durations in rounds.items()}
    for count, durations in rounds.items():
        median = spread_of([percentile(each, 50) for each in durations])
        yield (
            f"{count} slow callers: median {median.format(' ms')}, p99 {spread_of(p99s[count]).format(' ms')}, "
            f"{ratios(p99s[count], p99s[0]).format()} times the p99 without slow callers"
        )


def _submissions(port: int) -> list[float]:
    """Submit sequentially, each time on a new connection, and return the milliseconds of each."""
    return [milliseconds(partial(_submit, port, number)) for number in range(SUBMISSIONS)]


def _submit(port: int, number: int) -> None:
    response = httpx.post(
        f"http://{LOOPBACK}:{port}/v1/tasks",
        json={"prompt": "a circle", "seed": number},
        trust_env=False,
        timeout=60,
    )
    assert response.status_code == 202

"""Effect of slow senders on the submissions of others: one gunicorn process, the API with fakes.

Each slow caller sends a head and a byte of its body every second; when the API closes its request it connects again.
All of them share one address with the submissions.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx

from benchmarks.measurement import percentile, spread_of
from local_stack.free_ports import LOOPBACK
from tests.served_api import served_by_gunicorn

SUBMISSIONS = 200
ROUNDS = 3
_HEAD = (
    b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: 500000\r\n\r\n"
)


def run() -> list[str]:
    quiet: list[list[float]] = []
    beside: dict[int, list[list[float]]] = {90: [], 600: []}
    with served_by_gunicorn() as port:
        _submitted(port)
        for _ in range(ROUNDS):
            quiet.append(_submitted(port))
            for count, rounds in beside.items():
                with _slow_callers(port, count):
                    rounds.append(_submitted(port))
    return [
        _line("no slow callers", quiet, quiet),
        *(_line(f"{count} slow callers", rounds, quiet) for count, rounds in beside.items()),
    ]


def _line(name: str, rounds: list[list[float]], quiet: list[list[float]]) -> str:
    p99s, quiet_p99s = ([percentile(times, 99) for times in each] for each in (rounds, quiet))
    ratios = spread_of([mine / base for mine, base in zip(p99s, quiet_p99s, strict=True)])
    median = spread_of([percentile(times, 50) for times in rounds])
    p99 = spread_of(p99s)
    return f"{name}: median {median.said(' ms')}, p99 {p99.said(' ms')}, {ratios.said()} times the quiet p99"


def _submitted(port: int) -> list[float]:
    """Submit sequentially, each time on a new connection, and return the milliseconds of each."""
    times = []
    for number in range(SUBMISSIONS):
        began = time.perf_counter()
        answer = httpx.post(
            f"http://{LOOPBACK}:{port}/v1/tasks",
            json={"prompt": "a circle", "seed": number},
            trust_env=False,
            timeout=60,
        )
        times.append((time.perf_counter() - began) * 1_000)
        assert answer.status_code == 202
    return times


@contextmanager
def _slow_callers(port: int, count: int) -> Iterator[None]:
    is_over = threading.Event()
    sender = threading.Thread(target=_send_slowly, args=(port, count, is_over))
    sender.start()
    try:
        yield
    finally:
        is_over.set()
        sender.join()


def _send_slowly(port: int, count: int, is_over: threading.Event) -> None:
    connections: list[socket.socket] = []
    while not is_over.is_set():
        while len(connections) < count:
            connection = socket.create_connection((LOOPBACK, port))
            connection.sendall(_HEAD)
            connections.append(connection)
        for connection in list(connections):
            try:
                connection.send(b" ")
            except OSError:
                connections.remove(connection)
                with suppress(OSError):
                    connection.close()
        is_over.wait(1)
    for connection in connections:
        connection.close()

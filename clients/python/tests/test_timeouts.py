"""Timeouts of waits, with servers that accept a connection and then do not respond as they should."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from darkroom import AsyncClient, Client, WaitTimeoutError
from test_clients import NO_PAUSE

HEADERS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\n\r\n"
BODIES = {"nothing": (b"", b""), "a body in drips": (HEADERS, b" ")}
HEADS = {"early hints without end": (b"", EARLY_HINTS), "a header in drips": (b"HTTP/1.1 200 OK\r\n", b"x")}


@contextmanager
def dripping(beginning: bytes, drip: bytes) -> Iterator[str]:
    """Accept connections, send the beginning, then a drip now and then; yield the address."""
    is_over = threading.Event()

    def respond(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(65_536)
            connection.sendall(beginning)
            while not is_over.wait(0.05):
                connection.sendall(drip)

    def accept() -> None:
        while not is_over.is_set():
            with suppress(TimeoutError):
                threads.append(threading.Thread(target=respond, args=(listener.accept()[0],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)
        threads = [threading.Thread(target=accept)]
        threads[0].start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            is_over.set()
            for thread in threads:
                thread.join()


def wait_blocking(url: str) -> None:
    with Client(url, timeout_seconds=5.0, retries=NO_PAUSE) as client:
        client.wait("t", timeout_seconds=1.2)


def wait_asynchronously(url: str) -> None:
    async def wait() -> None:
        async with AsyncClient(url, timeout_seconds=5.0, retries=NO_PAUSE) as client:
            await client.wait("t", timeout_seconds=1.2)

    asyncio.run(wait())


def assert_ends_in_time(wait: Callable[[str], None], sent: tuple[bytes, bytes]) -> None:
    with dripping(*sent) as url:
        began = time.monotonic()
        with pytest.raises(WaitTimeoutError, match=r"task t did not finish within 1.2 s \(no response\)"):
            wait(url)
        assert time.monotonic() - began < 4.0


@pytest.mark.parametrize("wait", [wait_blocking, wait_asynchronously])
@pytest.mark.parametrize("sent", BODIES.values(), ids=BODIES)
def test_wait_ends_at_its_timeout_whatever_body_the_server_sends(
    wait: Callable[[str], None], sent: tuple[bytes, bytes]
) -> None:
    assert_ends_in_time(wait, sent)


@pytest.mark.parametrize("sent", HEADS.values(), ids=HEADS)
def test_asynchronous_wait_ends_at_its_timeout_whatever_head_it_receives(sent: tuple[bytes, bytes]) -> None:
    assert_ends_in_time(wait_asynchronously, sent)

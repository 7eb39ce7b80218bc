"""Callers who do not read their responses, by real sockets."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from frontend_api.http_server.unread_responses import UnreadResponses

SECONDS = 3.0


class Caller:
    """A caller with a connection whose buffers hold little."""

    def __init__(self, exits: ExitStack) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self._own = exits.enter_context(socket.socket())
            self._own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
            self._own.connect(server.getsockname())
            self.server_side = exits.enter_context(server.accept()[0])
        self.server_side.setblocking(False)
        self._sent = 0

    def is_sent_more_than_fits(self) -> None:
        try:
            while True:
                self._sent += self.server_side.send(bytes(65_536))
        except BlockingIOError:
            return

    def reads_everything(self) -> None:
        while self._sent:
            self._sent -= len(self._own.recv(65_536))


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def responses() -> UnreadResponses[str]:
    return UnreadResponses(seconds=SECONDS)


def test_response_is_unread_after_its_time_without_a_complete_read(
    responses: UnreadResponses[str], exits: ExitStack
) -> None:
    slow, fast = Caller(exits), Caller(exits)
    for name, caller in (("slow", slow), ("fast", fast)):
        responses.begin(name, caller.server_side)
        caller.is_sent_more_than_fits()
    assert responses.check(now=10.0) == []
    fast.reads_everything()
    assert responses.check(now=11.0) == []
    fast.is_sent_more_than_fits()
    assert responses.check(now=12.0) == []
    assert responses.check(now=13.0) == ["slow"]
    responses.end("slow")
    assert responses.check(now=15.0) == ["fast"]


def test_time_begins_with_the_response(responses: UnreadResponses[str], exits: ExitStack) -> None:
    caller = Caller(exits)
    responses.begin("a generation", caller.server_side)
    assert responses.check(now=10.0) == []
    caller.is_sent_more_than_fits()
    assert responses.check(now=20.0) == []
    assert responses.check(now=23.0) == ["a generation"]


def test_closed_connection_is_not_unread(responses: UnreadResponses[str], exits: ExitStack) -> None:
    caller = Caller(exits)
    responses.begin("gone", caller.server_side)
    caller.is_sent_more_than_fits()
    assert responses.check(now=10.0) == []
    caller.server_side.close()
    assert responses.check(now=20.0) == []

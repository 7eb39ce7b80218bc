"""The connection of a caller who waits: notices at once that it has gone, and how much it still takes."""

import select
import socket
import time
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

from frontend_api.follow_task import Follower

_TAKES_NOTHING_SECONDS = 30.0
_MOST_UNSENT_BYTES = 65_536
_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
"""Where POLLRDHUP does not exist, only a reset is noticed before something is written."""


class Heard(Enum):
    """What ended a wait."""

    NEWS = auto()
    """The follower has something to take, and the caller can be told."""
    NOTHING = auto()
    CALLER_SPEAKS = auto()
    CALLER_GONE = auto()
    """It hung up, or has taken nothing for half a minute while there was something to tell."""
    MUST_END = auto()


class ClientConnection:
    """The socket under a request, where the server lends it; without one the caller seems always there and ready."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self.socket: socket.socket | None = environ.get("gunicorn.socket")

    def send_no_backlog(self) -> None:
        """Keep the kernel from queueing what a slow reader has not taken: it shall get the newest state instead."""
        if self.socket is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_UNSENT_BYTES)

    def wait(self, follower: Follower, seconds: float, *, listening: bool = False) -> Heard:
        """Wait for news, at most so long; with `listening` also for what the caller says."""
        silent_until = time.monotonic() + seconds
        taken_until: float | None = None
        while True:
            follower.hush()
            if follower.must_end:
                return Heard.MUST_END
            has_news = follower.has_news
            if has_news and self.socket is None:
                return Heard.NEWS
            if has_news and taken_until is None:
                taken_until = time.monotonic() + _TAKES_NOTHING_SECONDS
            left = (silent_until if taken_until is None else taken_until) - time.monotonic()
            if left <= 0:
                return Heard.NOTHING if taken_until is None else Heard.CALLER_GONE
            heard = self._heard(follower, left, writing=has_news, listening=listening)
            if heard is not None:
                return heard

    def _heard(self, follower: Follower, seconds: float, *, writing: bool, listening: bool) -> Heard | None:
        """What the caller's side had to say within so many seconds; None when it was the follower that rang."""
        poll = select.poll()
        poll.register(follower, select.POLLIN)
        if self.socket is not None:
            wanted = (select.POLLOUT if writing else 0) | (select.POLLIN if listening else 0)
            poll.register(self.socket, _HUNG_UP | wanted)
        events = dict(poll.poll(seconds * 1_000))
        of_caller = 0 if self.socket is None else events.get(self.socket.fileno(), 0)
        if of_caller & select.POLLIN:
            return Heard.CALLER_SPEAKS
        if of_caller & _HUNG_UP:
            return Heard.CALLER_GONE
        return Heard.NEWS if of_caller & select.POLLOUT else None

"""The connection of a caller who waits: notices at once that it has gone, and how much it still takes."""

import select
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum, auto
from typing import Any

from frontend_api.follow_task import Follower

_TAKES_NOTHING_SECONDS = 30.0
_TIMEVAL = struct.pack("ll", int(_TAKES_NOTHING_SECONDS), 0)
_MOST_UNSENT_BYTES = 65_536
_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
"""Where POLLRDHUP does not exist, only a reset is noticed before something is written."""


class Heard(Enum):
    """What ended a wait."""

    NEWS = auto()
    """The follower has something to take, and the caller can be told."""
    NOTHING = auto()
    """The time has passed without news, and the caller can be told so."""
    CALLER_SPEAKS = auto()
    CALLER_GONE = auto()
    """It hung up, or for half a minute has taken nothing of what there was to tell."""
    MUST_END = auto()


class ClientConnection:
    """The socket under a request, where the server lends it; without one the caller seems always there and ready."""

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self.socket: socket.socket | None = environ.get("gunicorn.socket")

    def send_no_backlog(self) -> None:
        """Keep the kernel from queueing what a slow reader has not taken: it shall get the newest state instead.

        Nor may a message half sent wait for ever: sending then raises OSError.
        """
        if self.socket is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_UNSENT_BYTES)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL)

    def hang_up(self) -> None:
        """Break the connection; no error if it is broken. Else the server would linger for a last word to be taken."""
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def wait(self, follower: Follower, seconds: float, *, listening: bool = False) -> Heard:
        """Wait for news, at most so long; with `listening` also for what the caller says."""
        silent_until = time.monotonic() + seconds
        gone_at: float | None = None
        while True:
            follower.hush()
            if follower.must_end:
                return Heard.MUST_END
            now = time.monotonic()
            # To say that there are no news, the caller must be ready to take it just as well.
            is_due = follower.has_news or now >= silent_until
            if is_due and self.socket is None:
                return self._due(follower)
            if is_due and gone_at is None:
                gone_at = now + _TAKES_NOTHING_SECONDS
            left = (silent_until if gone_at is None else gone_at) - now
            if left <= 0:
                return Heard.CALLER_GONE
            heard = self._heard(follower, left, writing=is_due, listening=listening)
            if heard is not None:
                return heard

    @staticmethod
    def _due(follower: Follower) -> Heard:
        return Heard.NEWS if follower.has_news else Heard.NOTHING

    def _heard(self, follower: Follower, seconds: float, *, writing: bool, listening: bool) -> Heard | None:
        """What the caller's side had to say within so many seconds; None when it had nothing to say."""
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
        return self._due(follower) if of_caller & select.POLLOUT else None

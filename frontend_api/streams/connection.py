"""The connection of a waiting caller: detects a disconnect at once and whether data can be sent."""

import select
import socket
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum, auto
from typing import Any

from frontend_api.streams.subscriptions import Follower

_TAKES_NOTHING_SECONDS = 30.0
_TIMEVAL = struct.pack("ll", int(_TAKES_NOTHING_SECONDS), 0)
_MOST_UNSENT_BYTES = 65_536
_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
"""Without POLLRDHUP, only a reset is detected before the next write."""


class Heard(Enum):
    """Reason why a wait ended."""

    NEWS = auto()
    """The follower has an update, and the connection accepts data."""
    NOTHING = auto()
    """The time passed without an update, and the connection accepts data."""
    CALLER_SPEAKS = auto()
    CALLER_GONE = auto()
    """The caller disconnected, or accepted no data for 30 seconds while data was due."""
    MUST_END = auto()


class ClientConnection:
    """The socket of a request, if the server provides it.

    Without a socket, the caller is treated as always connected and ready.
    """

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self.socket: socket.socket | None = environ.get("gunicorn.socket")

    def send_no_backlog(self) -> None:
        """Limit the send buffer, so that a slow reader gets the newest state and not a backlog.

        A partly sent message times out as well: sending then raises OSError.
        """
        if self.socket is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _MOST_UNSENT_BYTES)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL)

    def hang_up(self) -> None:
        """Close the connection in both directions; no error if it is already broken.

        Otherwise the server would linger until the caller has read the last bytes.
        """
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def wait(self, follower: Follower, seconds: float, *, listening: bool = False) -> Heard:
        """Wait at most `seconds` for an update; with `listening`, also for data from the caller."""
        silent_until = time.monotonic() + seconds
        gone_at: float | None = None
        while True:
            follower.hush()
            if follower.must_end:
                return Heard.MUST_END
            now = time.monotonic()
            # A heartbeat, too, is due only when the connection accepts data.
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
        """Poll the caller's socket; return None if nothing relevant happened in time."""
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

"""The connection of a waiting caller: detects a disconnect at once and whether data can be sent."""

import select
import socket
import struct
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum, auto
from typing import Any

from frontend_api.streams.subscriptions import Subscription

_SEND_TIMEOUT_SECONDS = 30.0
_TIMEVAL = struct.pack("ll", int(_SEND_TIMEOUT_SECONDS), 0)
_SEND_BUFFER_BYTES = 65_536
_PAUSE_SECONDS = 0.1
"""Between two changes. A stream's thread is outside the concurrency limit, and a caller has many streams."""
_HUNG_UP = getattr(select, "POLLRDHUP", 0) | select.POLLHUP | select.POLLERR
"""Without POLLRDHUP, only a reset is detected before the next write."""


class WaitOutcome(Enum):
    """Reason why a wait ended."""

    CHANGED = auto()
    """The subscription has an update, and the connection accepts data."""
    TIMEOUT = auto()
    """The time passed without an update, and the connection accepts data."""
    CLIENT_DATA = auto()
    DISCONNECTED = auto()
    """The caller disconnected, or accepted no data for 30 seconds while data was due."""
    SHUTTING_DOWN = auto()


class ClientConnection:
    """The socket of a request, if the server provides it.

    Without a socket, the caller is treated as always connected and ready. The request's body was used
    when the wait begins. From then on, neither the body nor the thread counts for the caller, who has
    a subscription until the response is sent.
    """

    def __init__(self, environ: Mapping[str, Any], *, pause_seconds: float = _PAUSE_SECONDS) -> None:
        self.socket: socket.socket | None = environ.get("gunicorn.socket")
        self._pause_seconds = pause_seconds
        self._next_change_at = 0.0
        self._begin_wait: Callable[[], object] | None = getattr(environ.get("wsgi.input"), "begin_wait", None)

    def limit_send_buffer(self) -> None:
        """Limit the send buffer, so that a slow reader gets the newest state and not a backlog.

        A partly sent message times out as well: sending then raises OSError.
        """
        if self.socket is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _TIMEVAL)

    def close(self) -> None:
        """Close the connection in both directions; no error if it is already broken.

        Otherwise the server would linger until the caller has read the last bytes.
        """
        if self.socket is not None:
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)

    def wait(self, subscription: Subscription, seconds: float, *, accepts_data: bool = False) -> WaitOutcome:
        """Wait at most `seconds` for an update; with `accepts_data`, also for data from the caller.

        An update that follows another one within the pause is reported after it.
        """
        if self._begin_wait is not None:
            self._begin_wait()
        heartbeat_at = time.monotonic() + seconds
        send_deadline: float | None = None
        while True:
            subscription.clear_wakeup()
            if subscription.is_shutting_down:
                return WaitOutcome.SHUTTING_DOWN
            now = time.monotonic()
            has_update = subscription.has_update
            due_at = min(heartbeat_at, self._next_change_at) if has_update else heartbeat_at
            # A heartbeat, too, is due only when the connection accepts data.
            is_due = now >= due_at
            if is_due and self.socket is None:
                return self._due_outcome(subscription)
            if is_due and send_deadline is None:
                send_deadline = now + _SEND_TIMEOUT_SECONDS
            left = (due_at if send_deadline is None else send_deadline) - now
            if left <= 0:
                return WaitOutcome.DISCONNECTED
            # During a pause, further updates need not wake this thread.
            is_paused = has_update and not is_due
            outcome = self._poll(
                None if is_paused else subscription, left, writing=is_due, accepts_data=accepts_data
            )
            if outcome is WaitOutcome.TIMEOUT:
                outcome = self._due_outcome(subscription)
            if outcome is not None:
                return outcome

    def _due_outcome(self, subscription: Subscription) -> WaitOutcome:
        if not subscription.has_update:
            return WaitOutcome.TIMEOUT
        self._next_change_at = time.monotonic() + self._pause_seconds
        return WaitOutcome.CHANGED

    def _poll(
        self, subscription: Subscription | None, seconds: float, *, writing: bool, accepts_data: bool
    ) -> WaitOutcome | None:
        """Poll the caller's socket; return None if nothing relevant happened in time."""
        poll = select.poll()
        if subscription is not None:
            poll.register(subscription, select.POLLIN)
        if self.socket is not None:
            wanted = (select.POLLOUT if writing else 0) | (select.POLLIN if accepts_data else 0)
            poll.register(self.socket, _HUNG_UP | wanted)
        events = dict(poll.poll(seconds * 1_000))
        socket_events = 0 if self.socket is None else events.get(self.socket.fileno(), 0)
        if socket_events & select.POLLIN:
            return WaitOutcome.CLIENT_DATA
        if socket_events & _HUNG_UP:
            return WaitOutcome.DISCONNECTED
        return WaitOutcome.TIMEOUT if socket_events & select.POLLOUT else None

"""A delivery stream that is reopened with backoff whenever it ends. For the main thread only."""

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from common.backoff import Backoff
from common.ports import Clock
from gpu_subscriber.ports import Delivery, DeliverySource, DeliveryStream, Settlement

_log = structlog.get_logger(__name__)
_LONGEST_PAUSE = timedelta(seconds=15)
_STEADY = timedelta(seconds=60)
"""A stream that lasted this long resets the backoff."""
_SILENT = timedelta(minutes=10)
"""A stream without deliveries for this long is replaced.

It may be open and get no messages although there are some: only a new one shows the difference.
"""


class ReconnectingStream:
    """Opens streams one after another, and computes when the next one is due; its owner waits."""

    def __init__(
        self,
        source: DeliverySource,
        process: Callable[[Delivery], Settlement],
        *,
        on_end: Callable[[], None],
        clock: Clock,
    ) -> None:
        self._source = source
        self._process = process
        self._on_end = on_end
        self._clock = clock
        self._slots = 1
        self._suspended = False
        self._closing = False
        self._stream: DeliveryStream | None = None
        self._opened_at = clock.now()
        self._due_at: datetime | None = None
        self._backoff = Backoff(first_seconds=0.5, max_seconds=_LONGEST_PAUSE.total_seconds())
        self._down_since: datetime | None = None
        self._lock = threading.Lock()
        self._in_progress = 0
        self._settled_at = clock.now()

    @property
    def is_open(self) -> bool:
        """Whether deliveries can arrive."""
        return self._stream is not None and self._stream.is_open

    @property
    def down_for(self) -> timedelta:
        """Time since the last steady stream ended.

        Zero while there is a steady stream, and before the first.
        """
        now = self._clock.now()
        steady = self.is_open and now - self._opened_at >= _STEADY
        return timedelta() if steady or self._down_since is None else now - self._down_since

    @property
    def seconds_until_due(self) -> float | None:
        """When to call `advance`, in seconds from now; None while no stream is open or due."""
        if self._due_at is not None:
            left, most = self._due_at - self._clock.now(), _LONGEST_PAUSE
        elif self.is_open:
            left, most = _SILENT - self._silent_for(), _SILENT
        else:
            return None
        # bounded, in case the clock was set back
        return max(0.0, min(left, most).total_seconds())

    def begin(self, slots: int) -> None:
        """Accept up to `slots` deliveries at once.

        An open stream with another limit is closed and reopened.
        """
        resized = self.is_open and slots != self._slots
        self._slots, self._suspended = slots, False
        if self._stream is None and self._due_at is None:
            self.open()
        elif resized:
            self._close_for_now()

    def suspend(self) -> None:
        """Accept no deliveries until `begin`: the worker could not process them."""
        self._suspended, self._due_at = True, None
        if self.is_open:
            self._close_for_now()

    def advance(self) -> None:
        """Open a stream that is due, or replace one that has been silent for long."""
        if self._due_at is not None:
            self.open()
        elif self.is_open and self._silent_for() >= _SILENT:
            _log.info("silent_stream_replaced", silent_seconds=self._silent_for().total_seconds())
            self._close_for_now()

    def open(self) -> None:
        """Open a stream."""
        self._due_at, self._opened_at = None, self._clock.now()
        self._stream = self._source.open(self._process_one, slots=self._slots, on_end=self._on_end)
        _log.info("stream_opened", slots=self._slots)

    def ended(self) -> None:
        """Handle the end of a stream.

        The next one is due after a pause, which grows while streams fail. A stream that was closed
        intentionally is followed at once, or by `begin`.
        """
        now = self._clock.now()
        if self._closing or self._suspended:
            self._closing, self._stream, self._down_since = False, None, None
            self._backoff.reset()
            self._due_at = None if self._suspended else now
            return
        if now - self._opened_at >= _STEADY:
            self._down_since = None
            self._backoff.reset()
        self._down_since = self._down_since or now
        pause = timedelta(seconds=self._backoff.next_pause())
        self._due_at = now + pause
        reason = None if self._stream is None else self._stream.ended_because
        self._stream = None
        _log.warning("stream_ended", reason=reason, pause_seconds=pause.total_seconds())

    def close(self) -> None:
        """Accept no more deliveries."""
        if self._stream is not None:
            self._stream.close()

    def _process_one(self, delivery: Delivery) -> Settlement:
        """Process a delivery, and record that the stream is not silent. Runs on any thread."""
        with self._lock:
            self._in_progress += 1
        try:
            return self._process(delivery)
        finally:
            with self._lock:
                self._in_progress -= 1
                self._settled_at = self._clock.now()

    def _silent_for(self) -> timedelta:
        with self._lock:
            if self._in_progress:
                return timedelta()
            return self._clock.now() - max(self._opened_at, self._settled_at)

    def _close_for_now(self) -> None:
        self._closing = True
        self.close()

    def wait_until_ended(self, timeout_seconds: float) -> bool:
        """Wait for all deliveries to be settled; return whether they were in time."""
        return self._stream is None or self._stream.wait_until_ended(timeout_seconds)

"""The leased deliveries of each stream, for flow control. Thread-safe; makes no calls."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass


class StreamWindow:
    """The flow-control window of one stream. `changed` signals new messages or capacity."""

    def __init__(self, *, max_messages: int, max_bytes: int) -> None:
        self.max_messages = max_messages
        self.max_bytes = max_bytes
        self.changed = threading.Event()
        self.closed = False
        self.messages = 0
        self.bytes = 0


@dataclass(slots=True, kw_only=True)
class _Lease:
    window: StreamWindow
    size_bytes: int
    expires_at: float
    delivery_attempt: int
    known_to_client: bool = False


class Leases:
    """All leases of all streams. An ack id identifies one delivery and is never reused."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._leases: dict[str, _Lease] = {}
        self._windows: set[StreamWindow] = set()

    def open(self, *, max_messages: int, max_bytes: int) -> StreamWindow:
        """Open a window for a new stream; 0 means no limit, as in the protocol."""
        window = StreamWindow(max_messages=max_messages or 1000, max_bytes=max_bytes or 1 << 62)
        with self._lock:
            self._windows.add(window)
        return window

    def capacity(self, window: StreamWindow) -> int:
        """Return how many messages the stream may receive. One may exceed the byte limit."""
        with self._lock:
            if window.messages and window.bytes >= window.max_bytes:
                return 0
            return max(0, window.max_messages - window.messages)

    def add(
        self,
        window: StreamWindow,
        sizes: Mapping[str, int],
        seconds: float,
        *,
        delivery_attempts: Mapping[str, int] | None = None,
    ) -> bool:
        """Add deliveries (ack id → size). Return False when the stream has ended."""
        attempts = delivery_attempts or {}
        with self._lock:
            if window.closed:
                return False
            expires_at = self._now() + seconds
            for ack_id, size in sizes.items():
                self._drop(ack_id)
                self._leases[ack_id] = _Lease(
                    window=window,
                    size_bytes=size,
                    expires_at=expires_at,
                    delivery_attempt=attempts.get(ack_id, 0),
                )
                window.messages += 1
                window.bytes += size
            return True

    def delivery_attempt_of(self, ack_id: str) -> int:
        """Return the delivery attempt number of a delivery; 0 when it is unknown."""
        with self._lock:
            lease = self._leases.get(ack_id)
            return 0 if lease is None else lease.delivery_attempt

    def settle(self, ack_ids: Iterable[str]) -> None:
        """Remove deliveries that were acknowledged or returned."""
        with self._lock:
            for ack_id in ack_ids:
                self._drop(ack_id)

    def extend(self, ack_ids: Iterable[str], seconds: float) -> None:
        """Record a deadline change by the client; 0 returns the messages."""
        if seconds == 0:
            self.settle(ack_ids)
            return
        with self._lock:
            for ack_id in ack_ids:
                if lease := self._leases.get(ack_id):
                    lease.expires_at = self._now() + seconds
                    lease.known_to_client = True

    def expire(self) -> None:
        """Remove expired leases: the emulator delivers those messages again, under new ack ids."""
        with self._lock:
            now = self._now()
            for ack_id in [ack_id for ack_id, lease in self._leases.items() if lease.expires_at < now]:
                self._drop(ack_id)

    def close(self, window: StreamWindow) -> tuple[str, ...]:
        """Close a stream. Return the deliveries that its client never reacted to.

        The others stay leased, because the client may still acknowledge them by a unary call.
        """
        with self._lock:
            window.closed = True
            self._windows.discard(window)
            own = [(ack_id, lease) for ack_id, lease in self._leases.items() if lease.window is window]
            unseen = tuple(ack_id for ack_id, lease in own if not lease.known_to_client)
            for ack_id in unseen:
                self._drop(ack_id)
        window.changed.set()
        return unseen

    def wake_all(self) -> None:
        """Wake every stream, because there may be new messages."""
        with self._lock:
            windows = tuple(self._windows)
        for window in windows:
            window.changed.set()

    def _drop(self, ack_id: str) -> None:
        lease = self._leases.pop(ack_id, None)
        if lease is not None:
            lease.window.messages -= 1
            lease.window.bytes -= lease.size_bytes
            lease.window.changed.set()

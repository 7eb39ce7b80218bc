"""FakeDeliverySource: a DeliverySource whose deliveries and stream ends a test triggers."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from gpu_subscriber.ports import Delivery, Settlement


class FakeDeliveryStream:
    """One opened stream."""

    def __init__(
        self, process: Callable[[Delivery], Settlement], slots: int, on_end: Callable[[], None]
    ) -> None:
        self._process = process
        self._on_end = on_end
        self._pool = ThreadPoolExecutor(slots)
        self._running: list[Future[Settlement]] = []
        self._closing = False
        self._over = threading.Event()
        self._ending = threading.Lock()
        self.slots = slots
        self.ended_because: str | None = None

    @property
    def ended(self) -> threading.Event:
        """Set once the stream has ended."""
        return self._over

    @property
    def is_open(self) -> bool:
        return not self._closing and not self._over.is_set()

    def deliver(self, delivery: Delivery) -> Future[Settlement]:
        """Deliver a message; the future is its settlement."""
        self._running.append(self._pool.submit(self._process, delivery))
        return self._running[-1]

    def break_off(self, reason: str) -> None:
        """End the stream as a lost connection does."""
        self.ended_because = reason
        self._over.set()
        self._on_end()

    def close(self) -> None:
        """Close as the real stream does: it ends once the deliveries in progress are settled."""
        self._closing = True
        threading.Thread(target=self.wait_until_ended, args=(60.0,), daemon=True).start()

    def wait_until_ended(self, timeout_seconds: float) -> bool:
        for future in self._running:
            try:
                future.result(timeout_seconds)
            except TimeoutError:
                return False
        self._pool.shutdown()
        with self._ending:
            if not self._over.is_set():
                self._over.set()
                self._on_end()
        return True


class FakeDeliverySource:
    """Passes each opened stream to the test that waits for it."""

    def __init__(self) -> None:
        self.streams: list[FakeDeliveryStream] = []
        self._opened = threading.Condition()
        self._subscribed = True

    def lose_subscription(self) -> None:
        """End later streams at once, as for a deleted subscription."""
        self._subscribed = False

    def open(
        self, process: Callable[[Delivery], Settlement], *, slots: int, on_end: Callable[[], None]
    ) -> FakeDeliveryStream:
        with self._opened:
            self.streams.append(FakeDeliveryStream(process, slots, on_end))
            self._opened.notify_all()
        if not self._subscribed:
            threading.Thread(target=self.streams[-1].break_off, args=("NotFound",)).start()
        return self.streams[-1]

    def stream(self, number: int, *, timeout_seconds: float = 60.0) -> FakeDeliveryStream:
        """Wait for the stream with this number, from 0, and return it."""
        with self._opened:
            assert self._opened.wait_for(lambda: len(self.streams) > number, timeout_seconds)
            return self.streams[number]

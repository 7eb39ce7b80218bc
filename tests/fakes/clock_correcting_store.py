"""ClockCorrectingStore: a TaskStore whose replies correct the clock, as Firestore's do."""

from tests.fakes.fake_clock import FakeClock
from tests.fakes.in_memory_task_store import InMemoryTaskStore


class ClockCorrectingStore(InMemoryTaskStore):
    """Every call sets the clock back to the right time, after `set_clock_ahead`."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self._clock = clock
        self._ahead_seconds = 0.0

    def set_clock_ahead(self, seconds: float) -> None:
        self._clock.advance(seconds)
        self._ahead_seconds = seconds

    def _check(self) -> None:
        super()._check()
        self._clock.advance(-self._ahead_seconds)
        self._ahead_seconds = 0.0

"""FakeClock: a clock that only a test advances."""

from datetime import UTC, datetime, timedelta


class FakeClock:
    """A Clock that does not move until `advance`."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)) -> None:
        self._now = start

    def now(self) -> datetime:
        return self._now

    def advance(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

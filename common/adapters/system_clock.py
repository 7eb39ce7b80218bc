"""SystemClock: the machine's own time."""

from datetime import UTC, datetime


class SystemClock:
    """The Clock of production."""

    def now(self) -> datetime:
        """The present, aware, UTC."""
        return datetime.now(UTC)

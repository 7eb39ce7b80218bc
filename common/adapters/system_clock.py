"""The clock of the machine."""

from datetime import UTC, datetime


class SystemClock:
    """The Clock of production."""

    def now(self) -> datetime:
        """Return the current time in UTC, timezone-aware."""
        return datetime.now(UTC)

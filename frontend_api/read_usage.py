"""Read what a caller's tasks have cost, day by day, in UTC."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from frontend_api.ports import UsageBook, UsageTotals

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPrice:
    """What callers are told that a useful second of a GPU costs."""

    per_second: float
    currency: str
    """An ISO 4217 code."""

    def of(self, gpu_seconds: float) -> float:
        """What so many useful seconds cost."""
        return round(gpu_seconds * self.per_second, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class DayOfUsage:
    """One day's totals."""

    day: date
    totals: UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadUsage:
    """The use case."""

    book: UsageBook

    def __call__(self, user_id: str, *, first: date, last: date) -> tuple[DayOfUsage, ...]:
        """Every day from the first to the last, both included. Raises DependencyUnavailableError."""
        days = [first + _DAY * number for number in range((last - first).days + 1)]
        with ThreadPoolExecutor(max_workers=8, thread_name_prefix="usage") as pool:
            totals = pool.map(lambda day: self._totals(user_id, day), days)
            return tuple(DayOfUsage(day=day, totals=total) for day, total in zip(days, totals, strict=True))

    def _totals(self, user_id: str, day: date) -> UsageTotals:
        midnight = datetime.combine(day, time.min, tzinfo=UTC)
        return self.book.totals_of(user_id, ended_from=midnight, ended_before=midnight + _DAY)

"""Read what a caller's tasks have cost, day by day, in UTC."""

from dataclasses import dataclass
from datetime import date, timedelta

from frontend_api.ports import UsageBook
from frontend_api.usage_totals import UsageTotals


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
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        totals = self.book.totals_of(user_id, days)
        return tuple(DayOfUsage(day=day, totals=total) for day, total in zip(days, totals, strict=True))

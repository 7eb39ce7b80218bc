"""Usage: the costs of a caller's tasks, day by day, in UTC."""

from dataclasses import dataclass
from datetime import date, timedelta

from common.observability.gpu_cost import GpuCost
from common.ports import Clock
from frontend_api.usage.ports import UsageBook, UsageTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuPrice:
    per_second: float
    currency: str
    """An ISO 4217 code."""

    def of(self, gpu_seconds: float) -> float:
        return round(gpu_seconds * self.per_second, 6)


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    book: UsageBook
    price: GpuPrice | None
    clock: Clock

    def by_day(self, user_id: str, *, first: date, last: date) -> dict[date, UsageTotals]:
        """Return every day from `first` to `last`, inclusive. Raises DependencyUnavailableError."""
        days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
        return dict(zip(days, self.book.totals_of(user_id, days), strict=True))

    def gpu_cost(self) -> GpuCost:
        if self.price is None:
            return GpuCost()
        return GpuCost(price_per_second=self.price.per_second, currency=self.price.currency)

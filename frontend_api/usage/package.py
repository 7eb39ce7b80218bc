"""The package as one record, built from its ports."""

from dataclasses import dataclass
from typing import Self

from common.observability.gpu_cost import GpuCost
from common.ports import Clock
from frontend_api.usage.ports import UsageBook
from frontend_api.usage.usage import GpuPrice, ReadUsage


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    read: ReadUsage
    price: GpuPrice | None
    bill: GpuCost

    @classmethod
    def build(cls, *, book: UsageBook, price: GpuPrice | None, clock: Clock) -> Self:
        bill = GpuCost()
        if price is not None:
            bill = GpuCost(price_per_second=price.per_second, currency=price.currency)
        return cls(read=ReadUsage(book=book, clock=clock), price=price, bill=bill)

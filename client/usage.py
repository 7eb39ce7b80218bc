"""UsageReport: what the caller's tasks have cost, as the API tells it."""

from datetime import date

from client.record import Record


class Usage(Record):
    """What tasks have cost; `price` is None where none is set."""

    tasks: int
    gpu_seconds: float
    wasted_gpu_seconds: float
    price: float | None = None


class DayOfUsage(Usage):
    """What the tasks that ended on one day have cost."""

    day: date


class UsageReport(Record):
    """What the caller's tasks have cost, in all and on each day, the first day first."""

    currency: str | None = None
    total: Usage
    days: tuple[DayOfUsage, ...] = ()

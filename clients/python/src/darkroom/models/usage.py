"""Usage of the caller's tasks, as the API returns it."""

from datetime import date

from darkroom.models.record import Record


class Usage(Record):
    """Usage of tasks; `price` is None if no prices are configured."""

    tasks: int
    gpu_seconds: float
    wasted_gpu_seconds: float
    price: float | None = None


class DayOfUsage(Usage):
    """Usage of the tasks that finished on one day."""

    day: date


class UsageReport(Record):
    """Usage of the caller's tasks, total and per day in ascending order."""

    currency: str | None = None
    total: Usage
    days: tuple[DayOfUsage, ...] = ()

"""Measurements and their statistics: medians with their range, never a single number."""

import statistics
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psutil


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    median: float
    low: float
    high: float
    count: int

    def format(self, unit: str = "", digits: int = 2) -> str:
        """Format for a report: `1.04 (0.99 to 1.10, n=5)`."""
        return f"{self.median:.{digits}f}{unit} ({self.low:.{digits}f} to {self.high:.{digits}f}, n={self.count})"


def spread_of(values: Sequence[float]) -> Spread:
    """Return the median, smallest and largest of at least one value."""
    return Spread(median=statistics.median(values), low=min(values), high=max(values), count=len(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]


def percentiles(values: Sequence[float], digits: int = 1) -> str:
    """Format p50, p90 and p99 of milliseconds for a report."""
    p50, p90, p99 = (percentile(values, percent) for percent in (50, 90, 99))
    return f"median {p50:.{digits}f} ms, p90 {p90:.{digits}f} ms, p99 {p99:.{digits}f} ms"


def ratios(values: Sequence[float], references: Sequence[float]) -> Spread:
    """Return the ratio of each value to the reference of the same round."""
    return spread_of([value / reference for value, reference in zip(values, references, strict=True)])


def milliseconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    started = clock()
    work()
    return (clock() - started) * 1_000


def processor_seconds(process: psutil.Process) -> float:
    """Return the processor time of a process so far, without its children's."""
    times = process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def repeating(work: Callable[[], object], every_seconds: float) -> Iterator[None]:
    """Call `work` periodically in a thread while the block runs."""
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.wait(every_seconds):
            work()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()

"""Statistics and their format: medians with their spread, never a single number."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median of several measurements, and their range."""

    median: float
    low: float
    high: float
    count: int

    def said(self, unit: str = "", digits: int = 2) -> str:
        """Format for a report: `1.04 (0.99 to 1.10, n=5)`."""
        return f"{self.median:.{digits}f}{unit} ({self.low:.{digits}f} to {self.high:.{digits}f}, n={self.count})"


def spread_of(values: Sequence[float]) -> Spread:
    """Return the median, smallest and largest of at least one value."""
    return Spread(median=statistics.median(values), low=min(values), high=max(values), count=len(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest value that `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))]

"""What tasks have cost, added up by Firestore: what is asked of it, and what it answers."""

from collections.abc import Mapping
from typing import Any

from frontend_api.usage_totals import UsageTotals


def usage_of(tasks: Any) -> Any:
    """The aggregation query that adds up what the tasks of a query have cost."""
    return (
        tasks.count(alias="tasks")
        .sum("usage.gpu_seconds", alias="gpu_seconds")
        .sum("usage.wasted_gpu_seconds", alias="wasted_gpu_seconds")
    )


def answered_totals(results: Any) -> UsageTotals:
    """What such a query was answered."""
    (sums,) = results
    return stored_totals({one.alias: one.value for one in sums})


def stored_totals(sums: Mapping[str, Any]) -> UsageTotals:
    """The sums by their names, as a query and a document have them."""
    return UsageTotals(
        tasks=int(sums["tasks"]),
        gpu_seconds=float(sums["gpu_seconds"]),
        wasted_gpu_seconds=float(sums["wasted_gpu_seconds"]),
    )

"""Firestore aggregation of task costs: the query, and the parsing of its result."""

from collections.abc import Mapping
from typing import Any

from frontend_api.usage.totals import UsageTotals


def usage_of(tasks: Any) -> Any:
    """Return the aggregation query that sums the costs of a query's tasks."""
    return (
        tasks.count(alias="tasks")
        .sum("usage.gpu_seconds", alias="gpu_seconds")
        .sum("usage.wasted_gpu_seconds", alias="wasted_gpu_seconds")
    )


def answered_totals(results: Any) -> UsageTotals:
    """Parse the result of the aggregation query."""
    (sums,) = results
    return stored_totals({one.alias: one.value for one in sums})


def stored_totals(sums: Mapping[str, Any]) -> UsageTotals:
    """Parse sums by their field names, which are the same in queries and documents."""
    return UsageTotals(
        tasks=int(sums["tasks"]),
        gpu_seconds=float(sums["gpu_seconds"]),
        wasted_gpu_seconds=float(sums["wasted_gpu_seconds"]),
    )

"""Every query of the API's own adapters has its composite index in terraform/, or needs none."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from common.domain.task import TaskStatus
from frontend_api.adapters.firestore.task_stats import FirestoreTaskStats
from frontend_api.adapters.firestore.usage_book import FirestoreUsageBook
from frontend_api.usage.ports import NO_USAGE, UsageTotals
from tests.unit.common.adapters.test_firestore_indexes import (
    declared_indexes,
    needed_index,
    unindexed_fields,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOBODY = firestore.Client(project="none", credentials=AnonymousCredentials())


class _RecordingStats(FirestoreTaskStats):
    """Records each query, and each aggregation that adds something up."""

    def __init__(self) -> None:
        super().__init__(NOBODY, timeout_seconds=1)
        self.queries: list[Any] = []
        self.sums: list[Any] = []

    def _get(self, query: Any, **_: Any) -> list[Any]:
        self.queries.append(query._to_protobuf())
        return []

    def _aggregate(self, aggregation: Any) -> Mapping[str, Any]:
        recorded = aggregation._to_protobuf()
        if any(one.sum.field.field_path for one in recorded.aggregations):
            self.sums.append(recorded)
        else:
            self.queries.append(recorded.structured_query)
        return Counter()


class _RecordingBook(FirestoreUsageBook):
    def __init__(self, aggregations: list[Any]) -> None:
        super().__init__(NOBODY, timeout_seconds=1)
        self._aggregations = aggregations

    def _of_deleted(self, user_id: str, days: Sequence[date]) -> tuple[Mapping[date, UsageTotals], datetime]:
        return {}, NOW

    def _added_up(self, aggregation: Any, as_of: datetime) -> UsageTotals:
        self._aggregations.append(aggregation._to_protobuf())
        return NO_USAGE


def recorded_stats() -> _RecordingStats:
    stats = _RecordingStats()
    for model in (None, "demo"):
        stats.line(model, completed_since=NOW)
    stats.queued(at_most=1)
    stats.queued_before("demo", NOW)
    stats.backlog("demo", queued_before=NOW)
    stats.active(at_most=20)
    stats.active_of("ada", at_most=1)
    stats.work_of("ada", ["demo"])
    stats.submitted_by("ada", since=NOW, at_most=1)
    stats.arrived("demo", since=NOW)
    stats.finished("demo", since=NOW)
    stats.totals(TaskStatus.FAILED, since=NOW)
    stats.totals(TaskStatus.FAILED, since=NOW, before=NOW)
    stats.failure_codes(since=NOW, at_most=1)
    return stats


def has_only_equalities(query: Any) -> bool:
    """Return whether Firestore can merge its single-field indexes for this query."""
    filters = [part.field_filter for part in query.where.composite_filter.filters] or [
        query.where.field_filter
    ]
    return not query.order_by and all(
        part.op.name in ("EQUAL", "IN", "OPERATOR_UNSPECIFIED") for part in filters
    )


@pytest.mark.parametrize(
    "query", recorded_stats().queries, ids=lambda query: "+".join(f for f, _ in needed_index(query))
)
def test_query_has_an_index(query: Any) -> None:
    needed = needed_index(query)
    merged = has_only_equalities(query) and unindexed_fields().isdisjoint(name for name, _ in needed)
    assert merged or needed in declared_indexes()


def test_sums_have_an_index_with_the_summed_fields() -> None:
    aggregations: list[Any] = []
    _RecordingBook(aggregations).totals_of("ada", [NOW.date()])
    aggregations += recorded_stats().sums
    assert len(aggregations) == 8
    for aggregation in aggregations:
        paths = (one.sum.field.field_path for one in aggregation.aggregations)
        summed = sorted(path for path in paths if path)
        assert summed
        needed = needed_index(aggregation.structured_query) + tuple((name, "ASCENDING") for name in summed)
        assert needed in declared_indexes()

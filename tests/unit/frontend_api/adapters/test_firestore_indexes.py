"""Every query of the API's own adapters has its composite index in terraform/, or needs none."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from common.domain.task import TaskStatus
from frontend_api.adapters.firestore.queue_gauge import FirestoreQueueGauge
from frontend_api.adapters.firestore.task_counts import FirestoreTaskCounts
from frontend_api.adapters.firestore.task_flow import FirestoreTaskFlow
from frontend_api.adapters.firestore.usage_book import FirestoreUsageBook
from frontend_api.stats.backlog import NO_WORK, ActiveTask, Work
from frontend_api.usage.totals import NO_USAGE, UsageTotals
from tests.unit.common.adapters.test_firestore_indexes import (
    declared_indexes,
    needed_index,
    unindexed_fields,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOBODY = firestore.Client(project="none", credentials=AnonymousCredentials())


class _RecordingGauge(FirestoreQueueGauge):
    def __init__(self, queries: list[Any]) -> None:
        super().__init__(NOBODY, timeout_seconds=1)
        self._queries = queries

    def _counted(self, query: Any) -> int:
        self._queries.append(query._to_protobuf())
        return 0

    def _oldest(self, query: Any) -> datetime | None:
        self._queries.append(query._to_protobuf())
        return None

    def _listed(self, query: Any) -> tuple[ActiveTask, ...]:
        self._queries.append(query._to_protobuf())
        return ()


class _RecordingSums(FirestoreQueueGauge):
    def __init__(self, aggregations: list[Any]) -> None:
        super().__init__(NOBODY, timeout_seconds=1)
        self._aggregations = aggregations

    def _added_up(self, aggregation: Any) -> Work:
        self._aggregations.append(aggregation._to_protobuf())
        return NO_WORK


class _RecordingCounts(FirestoreTaskCounts):
    def __init__(self, queries: list[Any]) -> None:
        super().__init__(NOBODY, timeout_seconds=1)
        self._queries = queries

    def _counted(self, query: Any, at_most: int) -> int:
        self._queries.append(query._to_protobuf())
        return 0


class _RecordingBook(FirestoreUsageBook):
    def __init__(self, aggregations: list[Any]) -> None:
        super().__init__(NOBODY, timeout_seconds=1)
        self._aggregations = aggregations

    def _of_deleted(self, user_id: str, days: Sequence[date]) -> tuple[Mapping[date, UsageTotals], datetime]:
        return {}, NOW

    def _added_up(self, aggregation: Any, as_of: datetime) -> UsageTotals:
        self._aggregations.append(aggregation._to_protobuf())
        return NO_USAGE


class _RecordingFlow(FirestoreTaskFlow):
    def __init__(self, queries: list[Any]) -> None:
        super().__init__(NOBODY, timeout_seconds=1)
        self._queries = queries

    def _counted(self, query: Any) -> int:
        self._queries.append(query._to_protobuf())
        return 0

    def _codes(self, query: Any) -> list[str]:
        self._queries.append(query._to_protobuf())
        return []

    def _added_up(self, aggregation: Any) -> UsageTotals:
        self._queries.append(aggregation._to_protobuf())
        return UsageTotals(tasks=0, gpu_seconds=0, wasted_gpu_seconds=0)


def recorded_queries() -> list[Any]:
    queries: list[Any] = []
    gauge, counts = _RecordingGauge(queries), _RecordingCounts(queries)
    for model in (None, "demo"):
        gauge.line(model, completed_since=NOW)
    gauge.queued_before("demo", NOW)
    gauge.active(at_most=20)
    counts.active_of("ada", at_most=1)
    counts.submitted_by("ada", since=NOW, at_most=1)
    counts.queued(1)
    flow = _RecordingFlow(queries)
    flow.arrived("demo", since=NOW)
    flow.ended("demo", since=NOW)
    flow.failure_codes(since=NOW, at_most=1)
    return queries


def has_only_equalities(query: Any) -> bool:
    """Return whether Firestore can merge its single-field indexes for this query."""
    filters = [part.field_filter for part in query.where.composite_filter.filters] or [
        query.where.field_filter
    ]
    return not query.order_by and all(
        part.op.name in ("EQUAL", "IN", "OPERATOR_UNSPECIFIED") for part in filters
    )


@pytest.mark.parametrize(
    "query", recorded_queries(), ids=lambda query: "+".join(f for f, _ in needed_index(query))
)
def test_the_query_has_an_index(query: Any) -> None:
    needed = needed_index(query)
    merged = has_only_equalities(query) and unindexed_fields().isdisjoint(name for name, _ in needed)
    assert merged or needed in declared_indexes()


def test_the_sums_have_an_index_that_holds_what_is_added_up() -> None:
    aggregations: list[Any] = []
    _RecordingBook(aggregations).totals_of("ada", [NOW.date()])
    _RecordingSums(aggregations).backlog("demo", queued_before=NOW)
    _RecordingFlow(aggregations).totals(TaskStatus.FAILED, since=NOW)
    assert len(aggregations) == 6
    for aggregation in aggregations:
        assert_has_an_index_with_its_sums(aggregation)


def assert_has_an_index_with_its_sums(aggregation: Any) -> None:
    summed = sorted(one.sum.field.field_path for one in aggregation.aggregations if one.sum.field.field_path)
    assert summed
    needed = needed_index(aggregation.structured_query) + tuple((name, "ASCENDING") for name in summed)
    assert needed in declared_indexes()

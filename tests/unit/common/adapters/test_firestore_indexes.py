"""Every query of the task store has its composite index in terraform/.

The emulator does not check this.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from common.adapters.firestore_task_store import FirestoreTaskStore
from common.adapters.firestore_worker_reports import FirestoreWorkerReports
from common.domain.task import Task, TaskStatus
from common.domain.worker_report import WorkerReport
from common.ports import StaleTaskKind, TaskFilter
from frontend_api.adapters.firestore.webhook_logs import FirestoreWebhookLogs

INDEXES = Path(__file__).parents[4] / "terraform" / "firestore.indexes.json"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class _RecordingStore(FirestoreTaskStore):
    """Records the queries instead of sending them."""

    def __init__(self) -> None:
        super().__init__(firestore.Client(project="none", credentials=AnonymousCredentials()))
        self.queries: list[Any] = []

    def _fetched(self, query: Any, limit: int) -> tuple[Task, ...]:
        self.queries.append(query._to_protobuf())
        return ()


def needed_index(query: Any) -> tuple[tuple[str, str], ...]:
    """Return the index's fields: elements of lists, equalities by name, then sorting and comparisons."""
    where = query.where
    filters = [part.field_filter for part in where.composite_filter.filters] or [where.field_filter]
    unary = [part.unary_filter.field.field_path for part in where.composite_filter.filters]
    equal = {part.field.field_path for part in filters if part.op.name in ("EQUAL", "IN")} | set(
        filter(None, unary)
    )
    elements = [(part.field.field_path, "CONTAINS") for part in filters if part.op.name == "ARRAY_CONTAINS"]
    compared = [part.field.field_path for part in filters if part.op.name in ("LESS_THAN", "GREATER_THAN")]
    orders = [(order.field.field_path, order.direction.name) for order in query.order_by]
    ordered = [order for order in orders if order != ("__name__", "ASCENDING")]  # every index ends with it
    rest = ordered or [(name, "ASCENDING") for name in compared]
    return tuple(elements + [(name, "ASCENDING") for name in sorted(equal)] + rest)


def recorded_queries() -> list[Any]:
    store = _RecordingStore()
    for status in (None, TaskStatus.QUEUED):
        for model in (None, "demo"):
            for label in (None, ("team", "a")):
                for after in (None, NOW):
                    only = TaskFilter(status=status, model=model, label=label, created_after=after)
                    store.list_for("ada", only=only)
    for kind in StaleTaskKind:
        store.list_unattended(kind, before=NOW, limit=1)
    store.list_expired(now=NOW, limit=1)
    return store.queries


def unindexed_fields(collection: str = "tasks") -> set[str]:
    """Return the fields without a single-field index: a query by one of them alone would be refused."""
    overrides = json.loads(INDEXES.read_text())["fieldOverrides"]
    return {
        override["fieldPath"]
        for override in overrides
        if override["collectionGroup"] == collection and not override["indexes"]
    }


def declared_indexes() -> set[tuple[tuple[str, str], ...]]:
    declared = set()
    for index in json.loads(INDEXES.read_text())["indexes"]:
        fields = [
            (field["fieldPath"], field.get("order") or field["arrayConfig"]) for field in index["fields"]
        ]
        declared.add(tuple(fields))
    return declared


@pytest.mark.parametrize(
    "query", recorded_queries(), ids=lambda query: "+".join(f for f, _ in needed_index(query))
)
def test_query_has_an_index(query: Any) -> None:
    needed = needed_index(query)
    is_kept_by_firestore_itself = len(needed) == 1 and needed[0][0] not in unindexed_fields()
    assert is_kept_by_firestore_itself or needed in declared_indexes()


class _RecordingReports(FirestoreWorkerReports):
    """The same for worker reports."""

    def __init__(self) -> None:
        client = firestore.Client(project="none", credentials=AnonymousCredentials())
        super().__init__(client, timeout_seconds=1)
        self.queries: list[Any] = []

    def _read(self, query: Any) -> tuple[WorkerReport, ...]:
        self.queries.append(query._to_protobuf())
        return ()


def test_latest_reports_query_has_an_index() -> None:
    reports = _RecordingReports()
    reports.latest("demo", limit=1)
    (query,) = reports.queries
    assert query.where.field_filter.op.name == "ARRAY_CONTAINS"
    (order, *_by_name) = query.order_by
    asked = (
        (query.where.field_filter.field.field_path, "CONTAINS"),
        (order.field.field_path, order.direction.name),
    )
    assert asked in declared_indexes()


def test_webhook_retries_query_has_an_index() -> None:
    client = firestore.Client(project="none", credentials=AnonymousCredentials())
    scheduled = FirestoreWebhookLogs(client, timeout_seconds=1)._scheduled("ada")
    assert needed_index(scheduled._to_protobuf()) in declared_indexes()


def test_growing_timestamps_have_no_single_field_index() -> None:
    """Such an index allows at most 500 writes a second in all: its newest entries are adjacent."""
    document = json.loads((INDEXES.parents[1] / "tests" / "golden" / "task_document.json").read_text())
    moments = {name for name, value in document.items() if isinstance(value, dict) and "timestamp" in value}
    moments |= {name for name, value in document.items() if value is None and name.endswith(("_at", "_by"))}
    assert {"created_at", "updated_at", "queued_at"} < moments <= unindexed_fields()


def test_expiring_collections_have_a_ttl_policy() -> None:
    overrides = json.loads(INDEXES.read_text())["fieldOverrides"]
    expiring = {
        override["collectionGroup"]: override["fieldPath"] for override in overrides if override.get("ttl")
    }
    assert expiring == dict.fromkeys(
        (
            *("api_keys", "dead_letters", "operations_history", "shares", "tasks"),
            *("usage_of_deleted_tasks", "webhook_logs", "workers"),
        ),
        "expires_at",
    )

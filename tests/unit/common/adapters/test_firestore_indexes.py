"""Every query of the task store has its composite index in terraform/: the emulator needs none and notices nothing."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import firestore

from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.task import Task, TaskStatus
from common.ports import Unattended

INDEXES = Path(__file__).parents[4] / "terraform" / "firestore.indexes.json"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class _RecordingStore(FirestoreTaskStore):
    """Remembers the queries instead of sending them."""

    def __init__(self) -> None:
        super().__init__(firestore.Client(project="none", credentials=AnonymousCredentials()))
        self.queries: list[Any] = []

    def _fetched(self, query: Any, limit: int) -> tuple[Task, ...]:
        self.queries.append(query._to_protobuf())
        return ()


def needed_index(query: Any) -> tuple[tuple[str, str], ...]:
    """Equalities first, in the order of their names, then what the query sorts by or compares."""
    where = query.where
    filters = [part.field_filter for part in where.composite_filter.filters] or [where.field_filter]
    unary = [part.unary_filter.field.field_path for part in where.composite_filter.filters]
    equal = {part.field.field_path for part in filters if part.op.name in ("EQUAL", "IN")} | set(
        filter(None, unary)
    )
    compared = [part.field.field_path for part in filters if part.op.name in ("LESS_THAN", "GREATER_THAN")]
    orders = [(order.field.field_path, order.direction.name) for order in query.order_by]
    ordered = [order for order in orders if order != ("__name__", "ASCENDING")]  # every index ends with it
    rest = ordered or [(name, "ASCENDING") for name in compared]
    return tuple([(name, "ASCENDING") for name in sorted(equal)] + rest)


def recorded_queries() -> list[Any]:
    store = _RecordingStore()
    for status in (None, TaskStatus.QUEUED):
        for model in (None, "demo"):
            store.list_for("ada", status=status, model=model)
    for kind in Unattended:
        store.list_unattended(kind, before=NOW, limit=1)
    store.list_expired(now=NOW, limit=1)
    return store.queries


def declared_indexes() -> set[tuple[tuple[str, str], ...]]:
    declared = set()
    for index in json.loads(INDEXES.read_text())["indexes"]:
        fields = [(field["fieldPath"], field["order"]) for field in index["fields"]]
        declared.add(tuple(fields))
    return declared


@pytest.mark.parametrize(
    "query", recorded_queries(), ids=lambda query: "+".join(f for f, _ in needed_index(query))
)
def test_the_query_has_an_index(query: Any) -> None:
    needed = needed_index(query)
    is_kept_by_firestore_itself = len(needed) == 1
    assert is_kept_by_firestore_itself or needed in declared_indexes()

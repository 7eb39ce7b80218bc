"""Task store on Firestore; each write is conditional on the document it was built from."""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import structlog
from google.api_core import exceptions as google_errors
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter
from google.cloud.firestore_v1.field_path import get_nested_value
from google.protobuf.timestamp_pb2 import Timestamp

from common.adapters import firestore_usage_entries
from common.adapters.firestore_clock import FirestoreClock
from common.adapters.firestore_conflicts import attempts
from common.adapters.firestore_errors import (
    CHANGED_MEANWHILE,
    UNREACHABLE,
    translated_errors,
    tried_again_within,
)
from common.adapters.firestore_revisions import revision_of
from common.adapters.firestore_writes import FirestoreWrites
from common.domain.errors import TaskAlreadyExistsError, TaskNotFoundError
from common.domain.task import Task, TaskStatus
from common.domain.usage_entry import UsageEntry
from common.ports import ALL_TASKS, InvalidPageTokenError, StaleTaskKind, TaskFilter, TaskPage
from common.wire_formats.task_document import (
    COLLECTION,
    EVENT_PENDING_SINCE_BEFORE_1_7,
    decode_task_document,
    encode_task_document,
    label_pair,
)
from common.wire_formats.versions import UndecodableError

_log = structlog.get_logger(__name__)
_MAX_CONFLICTS = 40
"""A task has only a handful of writers: a writer that loses this often is starving."""
_WAITS_SINCE: Mapping[StaleTaskKind, tuple[TaskStatus | None, str]] = {
    StaleTaskKind.NEVER_ENQUEUED: (TaskStatus.QUEUED, "queued_at"),
    StaleTaskKind.MESSAGE_LOST: (TaskStatus.QUEUED, "enqueued_at"),
    StaleTaskKind.DEADLINE_EXCEEDED: (TaskStatus.QUEUED, "start_by"),
    StaleTaskKind.UNCLAIMED: (TaskStatus.QUEUED, "queued_at"),
    StaleTaskKind.CLAIM_EXPIRED: (TaskStatus.PROCESSING, "claim.expires_at"),
    StaleTaskKind.EVENT_UNPUBLISHED: (None, "event_pending_since"),
}
"""The required status, if any, and the field that must be older than the given time."""


class FirestoreTaskStore:
    """The TaskStore of production and, on the emulator, of the local stack. Thread-safe.

    The times in Firestore's replies correct the `clock`.
    """

    def __init__(
        self, client: firestore.Client, *, timeout_seconds: float = 10.0, clock: FirestoreClock | None = None
    ) -> None:
        self._clock = clock or FirestoreClock()
        self._tasks = client.collection(COLLECTION)
        self._writes = FirestoreWrites(client, COLLECTION, timeout_seconds=timeout_seconds)
        self._usage = FirestoreWrites(
            client, firestore_usage_entries.COLLECTION, timeout_seconds=timeout_seconds
        )
        self._timeout = timeout_seconds
        self._retry = tried_again_within(timeout_seconds)

    def create(self, task: Task) -> Task:
        creation = self._writes.creation(task.id, encode_task_document(task))
        for _ in attempts(_MAX_CONFLICTS):
            with translated_errors():
                try:
                    return with_revision(task, self._committed(creation))
                except google_errors.AlreadyExists as exc:
                    raise TaskAlreadyExistsError(task.id) from exc
                except google_errors.Aborted:  # concurrent creations of the same task: one of them has won
                    continue
        raise AssertionError("unreachable: the last attempt raises")

    def get(self, task_id: str) -> Task:
        sent_at = self._clock.timer()
        with translated_errors():
            snapshot = self._tasks.document(task_id).get(retry=self._retry, timeout=self._timeout)
        self._clock.observe(snapshot.read_time, sent_at=sent_at)
        if not snapshot.exists:
            raise TaskNotFoundError(task_id)
        return decoded_snapshot(snapshot)

    def update(self, task_id: str, change: Callable[[Task], Task], *, last_seen: Task | None = None) -> Task:
        before = last_seen if last_seen is not None and last_seen.revision else self.get(task_id)
        for _ in attempts(_MAX_CONFLICTS):
            try:
                after = change(before)
            except Exception:
                if before is not last_seen:
                    raise
                # `last_seen` may be stale: only the stored task may refuse the change
                before = self.get(task_id)
                continue
            if after is before:
                return before
            written = self._written(before, after)
            if written is not None:
                return written
            before = self.get(task_id)
        raise AssertionError("unreachable: the last attempt raises")

    def delete(self, task_id: str, *, now: datetime) -> None:
        """Delete the task and add its usage to the document of that day in the same commit."""
        # Unlike other writes, this one is retried: if an earlier attempt was applied, the task is
        # gone and the retry adds nothing.
        commit = self._retry(self._writes.commit)
        for _ in attempts(_MAX_CONFLICTS):
            try:
                task = self.get(task_id)
            except TaskNotFoundError:
                return
            kept = firestore_usage_entries.addition(self._usage, UsageEntry.of_deleted(task, now))
            if self._deleted(task, kept, commit=commit):
                return

    def delete_unchanged(self, task: Task) -> bool:
        return self._deleted(task, commit=self._writes.commit)

    def _deleted(self, task: Task, *also: Any, commit: Callable[..., object]) -> bool:
        with translated_errors():
            try:
                commit(self._writes.deletion(task.id, revision=task.revision or ""), *also)
            except (*CHANGED_MEANWHILE, google_errors.NotFound):
                return False
        return True

    def list_for(
        self,
        user_id: str,
        *,
        only: TaskFilter = ALL_TASKS,
        page_size: int = 20,
        page_token: str | None = None,
    ) -> TaskPage:
        """The page token holds the time and the id of the last task of the page."""
        query = self._tasks.where(filter=FieldFilter("user_id", "==", user_id))
        for condition in _conditions(only):
            query = query.where(filter=condition)
        newest_first = firestore.Query.DESCENDING
        query = query.order_by("created_at", direction=newest_first).order_by("id", direction=newest_first)
        if page_token is not None:
            created_at, task_id = _decode_page_token(page_token)
            query = query.start_after({"created_at": created_at, "id": task_id})
        tasks = self._fetched(query, page_size + 1)
        page = tasks[:page_size]
        more = len(tasks) > page_size
        return TaskPage(tasks=page, next_page_token=_encode_page_token(page[-1]) if more else None)

    def list_unattended(
        self, kind: StaleTaskKind, *, before: datetime, limit: int, after: Task | None = None
    ) -> tuple[Task, ...]:
        status, field = _WAITS_SINCE[kind]
        query: Any = self._tasks
        if status is not None:
            query = query.where(filter=FieldFilter("status", "==", status.value))
        if kind is StaleTaskKind.NEVER_ENQUEUED:
            query = query.where(filter=FieldFilter("enqueued_at", "==", None))
        found = self._oldest_first(query, field, before, limit, after)
        if kind is not StaleTaskKind.EVENT_UNPUBLISHED:
            return found
        found += self._oldest_first(
            query, EVENT_PENDING_SINCE_BEFORE_1_7, before, limit, after, reached_in=field
        )
        by_id = {task.id: task for task in found}
        return tuple(sorted(by_id.values(), key=lambda task: (task.event_pending_since, task.id))[:limit])

    def list_expired(self, *, now: datetime, limit: int, after: Task | None = None) -> tuple[Task, ...]:
        ended = [status.value for status in TaskStatus if status.is_terminal]
        query = self._tasks.where(filter=FieldFilter("status", "in", ended))
        return self._oldest_first(query, "expires_at", now, limit, after)

    def _oldest_first(
        self,
        query: Any,
        field: str,
        before: datetime,
        limit: int,
        after: Task | None,
        *,
        reached_in: str | None = None,
    ) -> tuple[Task, ...]:
        """Order by the field, then by id, which Firestore appends to every index.

        `reached_in` names the field of `after` to continue from, if it is another one.
        """
        query = query.where(filter=FieldFilter(field, "<", before)).order_by(field).order_by("__name__")
        if after is not None:
            reached = get_nested_value(reached_in or field, encode_task_document(after))
            query = query.start_after({field: reached, "__name__": self._tasks.document(after.id)})
        return self._fetched(query, limit)

    def _fetched(self, query: Any, limit: int) -> tuple[Task, ...]:
        """Fetch the first `limit` readable tasks.

        Documents that cannot be decoded, for example after a rollback, are skipped.
        """
        found: list[Task] = []
        while len(found) < limit:
            missing = limit - len(found)
            sent_at = self._clock.timer()
            with translated_errors():
                snapshots = query.limit(missing).get(retry=self._retry, timeout=self._timeout)
            if snapshots:
                self._clock.observe(snapshots[-1].read_time, sent_at=sent_at)
            for snapshot in snapshots:
                try:
                    found.append(decoded_snapshot(snapshot))
                except UndecodableError as error:
                    _log.error("task_unreadable", task_id=snapshot.id, reason=error.reason)
            if len(snapshots) < missing:
                break
            query = query.start_after(snapshots[-1])
        return tuple(found)

    def _committed(self, write: Any) -> Timestamp:
        sent_at = self._clock.timer()
        written_at = self._writes.commit(write)
        self._clock.observe(written_at.ToDatetime(tzinfo=UTC), sent_at=sent_at)
        return written_at

    def _written(self, before: Task, after: Task) -> Task | None:
        """Write the changed fields if the document is still `before`; return None if it is not."""
        changes = changed_fields(before, after)
        if not changes:
            return after
        with translated_errors():
            try:
                written_at = self._committed(
                    self._writes.change(before.id, changes, revision=before.revision or "")
                )
            except CHANGED_MEANWHILE:
                return None
            except google_errors.NotFound as exc:
                raise TaskNotFoundError(before.id) from exc
            except UNREACHABLE:
                # The outcome is unknown. If the write was applied, the stored task shows it, and a
                # second write would be a second change: an attempt counted twice, or a claim that
                # refuses its own holder.
                stored = self.get(before.id)
                if stored == after:
                    return stored
                if stored.revision != before.revision:
                    return None
                raise
        return with_revision(after, written_at)


def _conditions(only: TaskFilter) -> Iterator[FieldFilter]:
    if only.status is not None:
        yield FieldFilter("status", "==", only.status.value)
    if only.model is not None:
        yield FieldFilter("model", "==", only.model)
    if only.label is not None:
        yield FieldFilter("label_pairs", "array_contains", label_pair(*only.label))
    if only.created_after is not None:
        yield FieldFilter("created_at", ">=", only.created_after)
    if only.created_before is not None:
        yield FieldFilter("created_at", "<", only.created_before)


def changed_fields(before: Task, after: Task) -> dict[str, Any]:
    """Return the fields to write, by path.

    Maps are compared key by key, so that unknown keys of a newer version are kept, except `labels`,
    whose keys the caller chooses. `parameters` never change; the keys of the other maps are valid
    unquoted field paths in Firestore.
    """
    changes: dict[str, Any] = {}
    stored = encode_task_document(before)
    for name, value in encode_task_document(after).items():
        old = stored[name]
        if old == value:
            continue
        if isinstance(old, dict) and isinstance(value, dict) and name != "labels":
            changes |= {f"{name}.{key}": item for key, item in value.items() if old.get(key) != item}
        else:
            changes[name] = value
    if "event_pending_since" in changes:
        changes[EVENT_PENDING_SINCE_BEFORE_1_7] = None  # else its old value would still be read
    return changes


def decoded_snapshot(snapshot: Any) -> Task:
    return decode_task_document(snapshot.to_dict(), revision=revision_of(snapshot.update_time))


def with_revision(task: Task, update_time: Any) -> Task:
    return replace(task, revision=revision_of(update_time))


def _encode_page_token(task: Task) -> str:
    return base64.urlsafe_b64encode(f"{task.created_at.isoformat()} {task.id}".encode()).decode().rstrip("=")


def _decode_page_token(token: str) -> tuple[datetime, str]:
    try:
        padded = token.encode("ascii") + b"=" * (-len(token) % 4)
        created_at, _, task_id = base64.urlsafe_b64decode(padded).decode().partition(" ")
        moment = datetime.fromisoformat(created_at)
        if moment.tzinfo is None or not task_id:
            raise ValueError(token)
        return moment.astimezone(UTC), task_id
    except (ValueError, OverflowError, binascii.Error) as exc:
        raise InvalidPageTokenError("this page token was not made here") from exc

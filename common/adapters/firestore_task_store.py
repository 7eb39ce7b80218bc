"""FirestoreTaskStore: tasks as documents. Optimistic: every write is conditional on the document it was made from."""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

import structlog
from google.api_core import exceptions as google_errors
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter
from google.cloud.firestore_v1.field_path import get_nested_value

from common.adapters import firestore_usage_entries
from common.adapters.firestore_conflicts import give_way, starved
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
from common.ports import InvalidPageTokenError, TaskPage, Unattended
from common.wire_formats.task_document import COLLECTION, decode_task_document, encode_task_document
from common.wire_formats.versions import UndecodableError

_log = structlog.get_logger(__name__)
_MAX_CONFLICTS = 40
"""A task has at most a handful of writers; whoever loses this often is not losing a race but starving."""
_WAITS_SINCE: Mapping[Unattended, tuple[TaskStatus | None, str]] = {
    Unattended.NEVER_ENQUEUED: (TaskStatus.QUEUED, "queued_at"),
    Unattended.MESSAGE_LOST: (TaskStatus.QUEUED, "enqueued_at"),
    Unattended.OVERDUE: (TaskStatus.QUEUED, "start_by"),
    Unattended.UNCLAIMED: (TaskStatus.QUEUED, "queued_at"),
    Unattended.CLAIM_DEAD: (TaskStatus.PROCESSING, "claim.expires_at"),
    Unattended.UNTOLD: (None, "untold_since"),
}
"""The status, if any will not do, and the field whose moment has passed."""


class FirestoreTaskStore:
    """The TaskStore of production and, through the emulator, of the local stack. Safe to share between threads."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float = 10.0) -> None:
        self._tasks = client.collection(COLLECTION)
        self._writes = FirestoreWrites(client, COLLECTION, timeout_seconds=timeout_seconds)
        self._usage = FirestoreWrites(
            client, firestore_usage_entries.COLLECTION, timeout_seconds=timeout_seconds
        )
        self._timeout = timeout_seconds
        self._retry = tried_again_within(timeout_seconds)

    def create(self, task: Task) -> Task:
        """See TaskStore.create."""
        creation = self._writes.creation(task.id, encode_task_document(task))
        for conflicts in range(_MAX_CONFLICTS):
            with translated_errors():
                try:
                    return with_revision(task, self._writes.commit(creation))
                except google_errors.AlreadyExists as exc:
                    raise TaskAlreadyExistsError(task.id) from exc
                except google_errors.Aborted:  # it met others that create the same task: one of them has won
                    give_way(conflicts)
        raise starved(_MAX_CONFLICTS)

    def get(self, task_id: str) -> Task:
        """See TaskStore.get."""
        with translated_errors():
            snapshot = self._tasks.document(task_id).get(retry=self._retry, timeout=self._timeout)
        if not snapshot.exists:
            raise TaskNotFoundError(task_id)
        return decoded_snapshot(snapshot)

    def update(self, task_id: str, change: Callable[[Task], Task], *, last_seen: Task | None = None) -> Task:
        """See TaskStore.update."""
        before = last_seen if last_seen is not None and last_seen.revision else self.get(task_id)
        for conflicts in range(_MAX_CONFLICTS):
            try:
                after = change(before)
            except Exception:
                if before is not last_seen:
                    raise
                before = self.get(task_id)  # what was last seen may be old: only the stored task can refuse
                continue
            if after is before:
                return before
            written = self._written(before, after)
            if written is not None:
                return written
            give_way(conflicts)
            before = self.get(task_id)
        raise starved(_MAX_CONFLICTS)

    def delete(self, task_id: str, *, now: datetime) -> None:
        """See TaskStore.delete. What the task had cost is added to the same day's document by the same commit."""
        # Tried again, unlike other writes: one that had arrived after all finds the task gone, and adds nothing.
        commit = self._retry(self._writes.commit)
        for conflicts in range(_MAX_CONFLICTS):
            try:
                task = self.get(task_id)
            except TaskNotFoundError:
                return
            kept = firestore_usage_entries.addition(self._usage, UsageEntry.of_deleted(task, now))
            if self._deleted(task, kept, commit=commit):
                return
            give_way(conflicts)
        raise starved(_MAX_CONFLICTS)

    def delete_unchanged(self, task: Task) -> bool:
        """See TaskStore.delete_unchanged."""
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
        status: TaskStatus | None = None,
        model: str | None = None,
        page_size: int = 20,
        page_token: str | None = None,
    ) -> TaskPage:
        """See TaskStore.list_for. The token is the place of the last task seen: its time and its id."""
        query = self._tasks.where(filter=FieldFilter("user_id", "==", user_id))
        if status is not None:
            query = query.where(filter=FieldFilter("status", "==", status.value))
        if model is not None:
            query = query.where(filter=FieldFilter("model", "==", model))
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
        self, kind: Unattended, *, before: datetime, limit: int, after: Task | None = None
    ) -> tuple[Task, ...]:
        """See TaskStore.list_unattended."""
        status, field = _WAITS_SINCE[kind]
        query: Any = self._tasks
        if status is not None:
            query = query.where(filter=FieldFilter("status", "==", status.value))
        if kind is Unattended.NEVER_ENQUEUED:
            query = query.where(filter=FieldFilter("enqueued_at", "==", None))
        return self._oldest_first(query, field, before, limit, after)

    def list_expired(self, *, now: datetime, limit: int, after: Task | None = None) -> tuple[Task, ...]:
        """See TaskStore.list_expired."""
        ended = [status.value for status in TaskStatus if status.is_terminal]
        query = self._tasks.where(filter=FieldFilter("status", "in", ended))
        return self._oldest_first(query, "expires_at", now, limit, after)

    def _oldest_first(
        self, query: Any, field: str, before: datetime, limit: int, after: Task | None
    ) -> tuple[Task, ...]:
        """By the field's moment, then by id, which Firestore adds to every index of its own accord."""
        query = query.where(filter=FieldFilter(field, "<", before)).order_by(field).order_by("__name__")
        if after is not None:
            reached = get_nested_value(field, encode_task_document(after))
            query = query.start_after({field: reached, "__name__": self._tasks.document(after.id)})
        return self._fetched(query, limit)

    def _fetched(self, query: Any, limit: int) -> tuple[Task, ...]:
        """The first `limit` tasks that can be read: one that cannot, as after a rollback, shall hide no other."""
        found: list[Task] = []
        while len(found) < limit:
            missing = limit - len(found)
            with translated_errors():
                snapshots = query.limit(missing).get(retry=self._retry, timeout=self._timeout)
            for snapshot in snapshots:
                try:
                    found.append(decoded_snapshot(snapshot))
                except UndecodableError as error:
                    _log.error("task_unreadable", task_id=snapshot.id, reason=error.reason)
            if len(snapshots) < missing:
                break
            query = query.start_after(snapshots[-1])
        return tuple(found)

    def _written(self, before: Task, after: Task) -> Task | None:
        """Write what differs, if the document is still `before`; None when it is not."""
        changes = changed_fields(before, after)
        if not changes:
            return after
        with translated_errors():
            try:
                written_at = self._writes.commit(
                    self._writes.change(before.id, changes, revision=before.revision or "")
                )
            except CHANGED_MEANWHILE:
                return None
            except google_errors.NotFound as exc:
                raise TaskNotFoundError(before.id) from exc
            except UNREACHABLE:
                # The outcome is unknown: if the write arrived, the task says so, and writing again would be a second
                # change (an attempt counted twice, a claim that refuses its own holder).
                stored = self.get(before.id)
                if stored == after:
                    return stored
                if stored.revision != before.revision:
                    return None
                raise
        return with_revision(after, written_at)


def changed_fields(before: Task, after: Task) -> dict[str, Any]:
    """The fields to write, by path. Maps are compared key by key, so a newer version's unknown keys survive.

    `parameters` and `labels` never change; the other maps have keys of ours only, plain in Firestore's grammar.
    """
    changes: dict[str, Any] = {}
    stored = encode_task_document(before)
    for name, value in encode_task_document(after).items():
        old = stored[name]
        if old == value:
            continue
        if isinstance(old, dict) and isinstance(value, dict):
            changes |= {f"{name}.{key}": item for key, item in value.items() if old.get(key) != item}
        else:
            changes[name] = value
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
    except (ValueError, binascii.Error, UnicodeError) as exc:
        raise InvalidPageTokenError("this page token was not made here") from exc
    if moment.tzinfo is None or not task_id:
        raise InvalidPageTokenError("this page token was not made here")
    return moment, task_id

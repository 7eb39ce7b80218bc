"""FirestoreWebhookLogs: one document `webhook_logs/{task_id}`, which browsers may not access.

`deliveries` is not indexed and `expires_at` is the collection's TTL field
(`firestore.indexes.json`).

Up to `_SHARDS` documents `webhook_retries/{owner}-{shard}` per caller with deliveries to try again
contain the time of the caller's turn, which is the earliest of them. A log with an earlier delivery
moves the one of its task, in the same commit. One document would delay the logs of many failures at
once: Firestore writes a document only some times a second.
"""

from collections.abc import Callable
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime
from typing import Any
from zlib import crc32

from google.api_core import exceptions as google_errors
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_conflicts import attempts
from common.adapters.firestore_errors import CHANGED_MEANWHILE, repeatable_within, translated_errors
from common.adapters.firestore_revisions import revision_of, update_time_of
from common.adapters.firestore_values import plain, user_key
from frontend_api.webhooks.delivery_log import WebhookDelivery, WebhookLog, WebhookTry

COLLECTION = "webhook_logs"
RETRIES_COLLECTION = "webhook_retries"
_MAX_CONFLICTS = 20
_SHARDS = 8
_NEVER = datetime.fromtimestamp(0, UTC)
_CHANGED = (*CHANGED_MEANWHILE, google_errors.Conflict, google_errors.NotFound)


class FirestoreWebhookLogs:
    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._client = client
        self._logs = client.collection(COLLECTION)
        self._retries = client.collection(RETRIES_COLLECTION)
        self._calls = repeatable_within(timeout_seconds)
        # If a first write succeeded without a response, a retry would apply the change twice.
        self._once: dict[str, Any] = {"retry": None, "timeout": timeout_seconds}

    def get(self, task_id: str) -> WebhookLog:
        with translated_errors():
            snapshot = self._logs.document(task_id).get(**self._calls)
        if not snapshot.exists:
            return WebhookLog(task_id=task_id)
        return replace(_decoded(snapshot.to_dict() or {}), revision=revision_of(snapshot.update_time))

    def update(
        self, task_id: str, change: Callable[[WebhookLog], WebhookLog], *, last_seen: WebhookLog | None = None
    ) -> WebhookLog:
        before = last_seen or self.get(task_id)
        for _ in attempts(_MAX_CONFLICTS):
            after = change(before)
            if after is before or self._written(before, after):
                return after
            before = self.get(task_id)
        raise AssertionError("unreachable: the last attempt raises")

    def delete(self, task_id: str) -> None:
        with translated_errors():
            self._logs.document(task_id).delete(**self._calls)

    def callers_due(self, *, now: datetime, limit: int) -> tuple[str, ...]:
        due = self._retries.where(filter=FieldFilter("due_at", "<=", now.timestamp()))
        with translated_errors():
            found = due.order_by("due_at").limit(limit * _SHARDS).get(**self._calls)
        return tuple(dict.fromkeys(snapshot.get("user_id") for snapshot in found))[:limit]

    def due_of(self, user_id: str, *, now: datetime, limit: int) -> tuple[str, ...]:
        due = self._scheduled(user_id).where(filter=FieldFilter("retry_at", "<=", now)).limit(limit)
        with translated_errors():
            return tuple(snapshot.id for snapshot in due.select([]).get(**self._calls))

    def settle(self, user_id: str, *, now: datetime) -> None:
        turns = [self._retries.document(_turn_id(user_id, shard)) for shard in range(_SHARDS)]
        with translated_errors():
            # All are read before the query, so that a log which is written meanwhile changes one of them.
            before = [turn for turn in self._client.get_all(turns, **self._calls) if turn.exists]
            if not before:
                return
            found = self._scheduled(user_id).select(["retry_at"]).limit(1).get(**self._calls)
            next_at = found[0].get("retry_at") if found else None
            for turn in before:
                self._settle_turn(turn, next_at, now)

    def _settle_turn(self, turn: Any, next_at: datetime | None, now: datetime) -> None:
        """Move a turn, which was read before `next_at`, to this time; delete it without one."""
        unchanged = self._client.write_option(last_update_time=turn.update_time)
        try:
            if next_at is None:
                turn.reference.delete(option=unchanged, **self._once)
            elif next_at > now:
                turn.reference.update({"due_at": next_at.timestamp()}, option=unchanged, **self._once)
            else:
                self._move_behind(turn.reference, now)
        except _CHANGED:
            self._move_behind(turn.reference, now)

    def _move_behind(self, turn: Any, now: datetime) -> None:
        """Let the turn be due now. No log that is written meanwhile can need an earlier one."""
        try:
            turn.update({"due_at": now.timestamp()}, **self._once)
        except google_errors.NotFound:  # another run has settled it
            return

    def _scheduled(self, user_id: str) -> Any:
        """Return the query for a caller's logs with a delivery to try again, the earliest first."""
        own = self._logs.where(filter=FieldFilter("user_id", "==", user_id))
        return own.where(filter=FieldFilter("retry_at", ">", _NEVER)).order_by("retry_at")

    def _written(self, before: WebhookLog, after: WebhookLog) -> bool:
        """Write the log if the stored one is still `before`."""
        document, encoded = self._logs.document(after.task_id), _encoded(after)
        batch = self._client.batch()
        if before.revision is None:
            batch.create(document, encoded)
        else:
            unchanged = self._client.write_option(last_update_time=update_time_of(before.revision))
            batch.update(document, encoded, option=unchanged)
        turn_at = after.turn_after(before)
        if after.user_id is not None and turn_at is not None:
            turn = {
                "user_id": after.user_id,
                "due_at": firestore.Minimum(turn_at.timestamp()),  # only numbers have a minimum
                # Firestore keeps the update time of a document whose values stay the same, and `settle`
                # would not notice this log.
                "changes": firestore.Increment(1),
            }
            shard = shard_of(after.task_id)
            batch.set(self._retries.document(_turn_id(after.user_id, shard)), turn, merge=True)
        with translated_errors():
            try:
                batch.commit(**self._once)
            except _CHANGED:
                return False
        return True


def shard_of(task_id: str) -> int:
    """Return which of its caller's turns a task's log moves."""
    return crc32(task_id.encode()) % _SHARDS


def _turn_id(user_id: str, shard: int) -> str:
    return f"{user_key(user_id)}-{shard}"


def _encoded(log: WebhookLog) -> dict[str, Any]:
    stored = asdict(log)
    del stored["revision"]
    deliveries = [{**one, "tries": list(one["tries"])} for one in stored["deliveries"]]
    return {**stored, "retry_at": log.retry_at, "deliveries": deliveries}


def _decoded(document: dict[str, Any]) -> WebhookLog:
    """Fields that a later release added are left out, so that this one can follow it."""
    stored = plain(document)
    deliveries = tuple(
        WebhookDelivery(
            **{
                **_known(WebhookDelivery, one),
                "tries": tuple(WebhookTry(**_known(WebhookTry, each)) for each in one["tries"]),
            }
        )
        for one in stored["deliveries"]
    )
    return WebhookLog(**{**_known(WebhookLog, stored), "deliveries": deliveries})


def _known(kind: type[Any], stored: dict[str, Any]) -> dict[str, Any]:
    names = {field.name for field in fields(kind)}
    return {name: value for name, value in stored.items() if name in names}

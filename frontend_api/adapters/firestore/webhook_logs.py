"""FirestoreWebhookLogs: one document `webhook_logs/{task_id}`, which browsers may not access.

`deliveries` is not indexed and `expires_at` is the collection's TTL field
(`firestore.indexes.json`).
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

from google.api_core import exceptions as google_errors
from google.cloud import firestore

from common.adapters.firestore_conflicts import attempts
from common.adapters.firestore_errors import CHANGED_MEANWHILE, repeatable_within, translated_errors
from common.adapters.firestore_revisions import revision_of, update_time_of
from common.adapters.firestore_values import plain
from frontend_api.webhooks.delivery_log import WebhookDelivery, WebhookLog, WebhookTry

COLLECTION = "webhook_logs"
_MAX_CONFLICTS = 20
_CHANGED = (*CHANGED_MEANWHILE, google_errors.Conflict, google_errors.NotFound)


class FirestoreWebhookLogs:
    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._client = client
        self._logs = client.collection(COLLECTION)
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

    def _written(self, before: WebhookLog, after: WebhookLog) -> bool:
        """Write the log if the stored one is still `before`."""
        document, fields = self._logs.document(after.task_id), _encoded(after)
        with translated_errors():
            try:
                if before.revision is None:
                    document.create(fields, **self._once)
                else:
                    unchanged = self._client.write_option(last_update_time=update_time_of(before.revision))
                    document.update(fields, option=unchanged, **self._once)
            except _CHANGED:
                return False
        return True


def _encoded(log: WebhookLog) -> dict[str, Any]:
    fields = asdict(log)
    del fields["revision"]
    return {**fields, "deliveries": [{**one, "tries": list(one["tries"])} for one in fields["deliveries"]]}


def _decoded(document: dict[str, Any]) -> WebhookLog:
    fields = plain(document)
    deliveries = tuple(
        WebhookDelivery(**{**one, "tries": tuple(WebhookTry(**each) for each in one["tries"])})
        for one in fields["deliveries"]
    )
    return WebhookLog(**{**fields, "deliveries": deliveries})

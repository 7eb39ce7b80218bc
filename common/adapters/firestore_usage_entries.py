"""The document `usage_of_deleted_tasks/{owner}-{day}`: the sum of the entries per caller and day.

Only servers read it. Firestore's TTL policy deletes it after `expires_at`: see
`firestore.indexes.json`.
"""

from datetime import date
from typing import Any

from common.adapters.firestore_values import user_key
from common.adapters.firestore_writes import FirestoreWrites
from common.domain.usage_entry import UsageEntry

COLLECTION = "usage_of_deleted_tasks"


def document_id(user_id: str, day: date) -> str:
    return f"{user_key(user_id)}-{day.isoformat()}"


def addition(writes: FirestoreWrites, entry: UsageEntry) -> Any:
    """Return a write that adds the entry to its document, which is created if missing.

    `writes` belong to COLLECTION.
    """
    return writes.addition(
        document_id(entry.user_id, entry.day),
        {
            "tasks": 1,
            "gpu_seconds": entry.gpu_seconds,
            "wasted_gpu_seconds": entry.wasted_gpu_seconds,
        },
        {"user_id": entry.user_id, "day": entry.day.isoformat(), "expires_at": entry.expires_at},
    )

"""The document `usage_of_deleted_tasks/{owner}-{day}`: one for each caller and day, whose entries it adds up.

Only servers read it, and Firestore takes it away once `expires_at` is past: see `firestore.indexes.json`.
"""

import hashlib
from datetime import date
from typing import Any

from common.adapters.firestore_writes import FirestoreWrites
from common.domain.usage_entry import UsageEntry

COLLECTION = "usage_of_deleted_tasks"


def document_id(user_id: str, day: date) -> str:
    """By a hash: a user id may hold what Firestore does not take in a name."""
    return f"{hashlib.sha256(user_id.encode()).hexdigest()[:40]}-{day.isoformat()}"


def addition(writes: FirestoreWrites, entry: UsageEntry) -> Any:
    """A write that adds the entry to its document, made if there is none; `writes` are those of COLLECTION."""
    return writes.addition(
        document_id(entry.user_id, entry.day),
        {
            "tasks": 1,
            "gpu_seconds": entry.gpu_seconds,
            "wasted_gpu_seconds": entry.wasted_gpu_seconds,
        },
        {"user_id": entry.user_id, "day": entry.day.isoformat(), "expires_at": entry.expires_at},
    )

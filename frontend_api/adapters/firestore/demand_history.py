"""FirestoreDemandHistory: one document for each pool, `autoscaling/{pool}`, with its latest samples."""

from datetime import timedelta

from google.cloud import firestore

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.adapters.firestore_values import plain
from frontend_api.autoscaling.ports import DemandSample

_COLLECTION = "autoscaling"


class FirestoreDemandHistory:
    """The DemandHistory of production."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float = 5.0) -> None:
        self._pools = client.collection(_COLLECTION)
        self._calls = repeatable_within(timeout_seconds)

    def add(self, pool: str, sample: DemandSample, *, keep_for: timedelta) -> tuple[DemandSample, ...]:
        document = self._pools.document(pool)
        with translated_errors():
            found = document.get(**self._calls)
            stored = (found.to_dict() or {}).get("samples", []) if found.exists else []
            earlier = (DemandSample(at=plain(each["at"]), workers=each["workers"]) for each in stored)
            kept = [each for each in earlier if sample.at - keep_for <= each.at < sample.at]
            samples = (*sorted(kept, key=lambda each: each.at), sample)
            document.set(
                {"samples": [{"at": each.at, "workers": each.workers} for each in samples]}, **self._calls
            )
        return samples

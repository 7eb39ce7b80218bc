"""Worker reports on Firestore: one small document `workers/{worker_id}` per worker."""

from datetime import datetime
from typing import Any

import structlog
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_errors import repeatable_within, translated_errors
from common.adapters.firestore_values import plain
from common.domain.worker_report import WorkerReport
from common.wire_formats.versions import UndecodableError
from common.wire_formats.worker_report import (
    COLLECTION,
    MEASURED_MODELS,
    decode_worker_report,
    encode_worker_report,
)

_log = structlog.get_logger(__name__)


class FirestoreWorkerReports:
    """The WorkerReports of production and, on the emulator, of the local stack. Thread-safe."""

    def __init__(self, client: firestore.Client, *, timeout_seconds: float) -> None:
        self._workers = client.collection(COLLECTION)
        self._calls = repeatable_within(timeout_seconds)

    def publish(self, report: WorkerReport) -> None:
        with translated_errors():
            self._workers.document(report.worker_id).set(encode_worker_report(report), **self._calls)

    def alive(self, now: datetime) -> tuple[WorkerReport, ...]:
        return self._read(self._workers.where(filter=FieldFilter("alive_until", ">", now)))

    def latest(self, model: str, *, limit: int) -> tuple[WorkerReport, ...]:
        measured = self._workers.where(filter=FieldFilter(MEASURED_MODELS, "array_contains", model))
        newest_first = measured.order_by("alive_until", direction=firestore.Query.DESCENDING)
        return self._read(newest_first.limit(limit))

    def _read(self, query: Any) -> tuple[WorkerReport, ...]:
        with translated_errors():
            snapshots = query.get(**self._calls)
        reports = []
        for snapshot in snapshots:
            try:
                reports.append(decode_worker_report(plain(snapshot.to_dict())))
            except UndecodableError as error:  # possibly from a newer worker: return the others
                _log.warning("worker_report_undecodable", worker_id=snapshot.id, reason=error.reason)
        return tuple(reports)

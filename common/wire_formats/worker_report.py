"""The Firestore document `workers/{worker_id}`: a worker's report. Only servers read it."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from common.domain.worker_report import WorkerReport
from common.wire_formats.decoding import first_complaint
from common.wire_formats.versions import WIRE_VERSION, UndecodableError, check_version

COLLECTION = "workers"
MEASURED_MODELS = "measured_models"
"""The names of the models in `times` again, because Firestore can query them."""
Document = dict[str, Any]
_REPORT = TypeAdapter(WorkerReport)


def encode_worker_report(report: WorkerReport) -> Document:
    """Return the document of a report."""
    fields = asdict(report)
    times = [asdict(model) | {"sizes": [asdict(size) for size in model.sizes]} for model in report.times]
    # Stored under its first name, so that documents of several versions can be read.
    predictions = list(fields.pop("predictions"))
    return {
        "version": WIRE_VERSION,
        **fields,
        "models": list(report.models),
        "times": times,
        MEASURED_MODELS: [model.model for model in report.times],
        "foretold": predictions,
        "broken_models": [asdict(broken) for broken in report.broken_models],
    }


def decode_worker_report(document: Mapping[str, Any]) -> WorkerReport:
    """Parse a document; unknown fields are ignored. Raises UndecodableError."""
    check_version(document.get("version"))
    try:
        return _REPORT.validate_python({**document, "predictions": document.get("foretold", ())})
    except ValidationError as exc:
        raise UndecodableError(f"worker report: {first_complaint(exc)}") from exc

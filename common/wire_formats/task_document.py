"""The Firestore document `tasks/{task_id}`: a public contract, since browsers listen to it.

Timestamps are Firestore timestamps (aware datetimes here), previews contain raw JPEG bytes. Every
field but `inputs` is always present; `null` means "not yet". Unknown fields are ignored in reading
and kept in writing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter

from common.domain.gpu_usage import RunSeconds
from common.domain.images import Preview, StoredImage
from common.domain.inputs import input_object_name
from common.domain.parameters import GenerationParameters
from common.domain.task import Progress, Task
from common.wire_formats.versions import UndecodableError, check_version

COLLECTION = "tasks"
VERSION = "1.11"
"""1.1 added `history`, `claim.claimed_at`, `queued_at`, `keep_for_seconds`, 1.2 `untold_since`, 1.3
`work_units` and `predicted_seconds`, 1.4 `traceparent`, also of claims and attempts, 1.5 an image's
`provenance`, 1.6 `warnings`, `failed_images`, `claim.runs`, `usage.open_runs` and an attempt's
`gpu_seconds`. 1.7 renamed `untold_since` to `event_pending_since`. 1.8 added `request_digest`, 1.9
`label_pairs`, which queries use, `callback_headers`, `callback_seal`, and `inputs` for tasks with
pictures, 1.10 `progress.images`, `claim.generating_since` and an image's `thumbnail`, 1.11 a
warning's `tokens`. These fields are optional in reading.
"""
EVENT_PENDING_SINCE_BEFORE_1_7 = "untold_since"
"""Still read and queried: the previous version may write it during a rolling update."""
PREVIEW_CONTENT_TYPE = "image/jpeg"
_KEPT_FOR_SECONDS = 30 * 24 * 3_600
"""Default for the first documents, which lack the field."""
Document = dict[str, Any]
_TASK = TypeAdapter(Task)
_REQUIRED = frozenset(
    (
        "attempt", "attempts_left", "callback_events", "callback_url", "cancel_requested_at", "claim",
        "created_at", "enqueued_at", "expires_at", "failure", "finished_at", "images", "labels", "lane",
        "previews", "progress", "start_by", "started_at", "usage",
    )
)  # fmt: skip
"""Fields that every document has, although Task has defaults for them."""
_TASK_TIMES = (
    "created_at", "updated_at", "queued_at", "expires_at", "enqueued_at", "started_at", "finished_at",
    "start_by", "cancel_requested_at", "event_pending_since",
)  # fmt: skip
_CLAIM_TIMES = ("claimed_at", "expires_at", "generating_since")
_ATTEMPT_TIMES = ("started_at", "ended_at")


def encode_task_document(task: Task) -> Document:
    """Return the document of a task."""
    return {
        "version": VERSION,
        "id": task.id,
        "user_id": task.user_id,
        "status": task.status.value,
        "model": task.parameters.model,
        "parameters": task.parameters.model_dump(mode="json"),
        "work_units": task.work_units,
        "predicted_seconds": task.predicted_seconds,
        "lane": task.lane.value,
        "labels": dict(task.labels),
        "label_pairs": [label_pair(name, value) for name, value in sorted(task.labels.items())],
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "queued_at": task.queued_at,
        "keep_for_seconds": task.keep_for.total_seconds(),
        "expires_at": task.expires_at,
        "enqueued_at": task.enqueued_at,
        "started_at": task.started_at,
        "finished_at": task.finished_at,
        "start_by": task.start_by,
        "attempt": task.attempt,
        "attempts_left": task.attempts_left,
        "claim": None
        if task.claim is None
        else {**asdict(task.claim), "runs": _encode_runs(task.claim.runs)},
        "history": [asdict(attempt) for attempt in task.history],
        "cancel_requested_at": task.cancel_requested_at,
        "progress": _encode_progress(task.progress),
        "previews": [_encode_preview(preview) for preview in task.previews],
        "images": [_encode_image(image) for image in task.images],
        "failed_images": [asdict(image) for image in task.failed_images],
        "failure": None if task.failure is None else asdict(task.failure),
        "warnings": [asdict(warning) for warning in task.warnings],
        "usage": {**asdict(task.usage), "open_runs": _encode_runs(task.usage.open_runs)},
        "traceparent": task.traceparent,
        "event_pending_since": task.event_pending_since,
        "callback_url": task.callback_url,
        "callback_events": list(task.callback_events),
        "callback_headers": dict(task.callback_headers),
        "callback_seal": task.callback_seal,
        "request_digest": task.request_digest,
        **_inputs_of(task),
    }


def label_pair(name: str, value: str) -> str:
    """Return a label as one text, which a query finds in `label_pairs`."""
    return f"{name}={value}"


def decode_task_document(document: Mapping[str, Any], *, revision: str | None = None) -> Task:
    """Parse a document. Raises UndecodableError if a field is missing or of the wrong type."""
    check_version(document.get("version"))
    try:
        return _decode(document, revision)
    except (KeyError, TypeError, ValueError, AttributeError) as exc:
        raise UndecodableError(f"task document: {type(exc).__name__}") from exc


def _decode(document: Mapping[str, Any], revision: str | None) -> Task:
    if missing := _REQUIRED - document.keys():
        raise KeyError(*missing)
    pending_since = document.get("event_pending_since") or document.get(EVENT_PENDING_SINCE_BEFORE_1_7)
    units = document.get("work_units")
    if units is None:
        units = GenerationParameters.model_validate(document["parameters"]).work_units
    fields = {
        **document,
        "work_units": units,
        "queued_at": document.get("queued_at", document["created_at"]),
        "keep_for": timedelta(seconds=document.get("keep_for_seconds", _KEPT_FOR_SECONDS)),
        "claim": None if document["claim"] is None else _with_plain_times(document["claim"], _CLAIM_TIMES),
        "history": [_with_plain_times(attempt, _ATTEMPT_TIMES) for attempt in document.get("history", ())],
        "previews": [{**preview, "jpeg": preview["data"]} for preview in document["previews"]],
        "event_pending_since": pending_since,
        "revision": revision,
    }
    return _TASK.validate_python(_with_plain_times(fields, _TASK_TIMES))


def _with_plain_times(fields: Mapping[str, Any], names: Iterable[str]) -> Document:
    """Replace timestamps by plain datetimes: DatetimeWithNanoseconds does not pickle or compare like one."""
    return {**fields, **{name: _plain_time(fields.get(name)) for name in names}}


def _plain_time(value: object) -> datetime | None:
    if value is None:
        return None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TypeError("not an aware timestamp")
    return datetime.combine(value.date(), value.timetz())


def _inputs_of(task: Task) -> Document:
    """Return the field by which the tasks of an input are found: the names of their objects."""
    pictures = sorted(set(task.parameters.inputs.values()))
    names = [input_object_name(task.user_id, picture) for picture in pictures]
    return {"inputs": names} if names else {}


def _encode_runs(runs: tuple[RunSeconds, ...]) -> list[Document]:
    return [asdict(run) for run in runs]


def _encode_progress(progress: Progress) -> Document:
    images = [{**asdict(image), "phase": image.phase.value} for image in progress.images]
    return {**asdict(progress), "phase": progress.phase.value, "images": images}


def _encode_preview(preview: Preview) -> Document:
    return {
        "index": preview.index,
        "step": preview.step,
        "content_type": PREVIEW_CONTENT_TYPE,
        "data": preview.jpeg,
    }


def _encode_image(image: StoredImage) -> Document:
    provenance = None if image.provenance is None else image.provenance.model_dump(mode="json")
    return {**asdict(image), "provenance": provenance}

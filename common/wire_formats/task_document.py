"""The Firestore document `tasks/{task_id}`: a public contract, since browsers listen to it.

Timestamps are Firestore timestamps (aware datetimes here), previews contain raw JPEG bytes. Every
field is always present; `null` means "not yet". Unknown fields are ignored in reading and kept in
writing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from common.domain.gpu_usage import RunSeconds
from common.domain.images import FailedImage, Preview, StoredImage
from common.domain.parameters import GenerationParameters
from common.domain.provenance import Provenance
from common.domain.task import (
    Claim,
    Failure,
    Lane,
    Phase,
    Progress,
    Task,
    TaskStatus,
    Usage,
)
from common.domain.task_records import PastAttempt, TaskWarning
from common.wire_formats.versions import UndecodableError, check_version

COLLECTION = "tasks"
VERSION = "1.7"
"""1.1 added `history`, `claim.claimed_at`, `queued_at`, `keep_for_seconds`, 1.2 `untold_since`, 1.3
`work_units` and `predicted_seconds`, 1.4 `traceparent`, also of claims and attempts, 1.5 an image's
`provenance`, 1.6 `warnings`, `failed_images`, `claim.runs`, `usage.open_runs` and an attempt's
`gpu_seconds`. 1.7 renamed `untold_since` to `event_pending_since`. These fields are optional in
reading.
"""
EVENT_PENDING_SINCE_BEFORE_1_7 = "untold_since"
"""Still read and queried: the previous version may write it during a rolling update."""
PREVIEW_CONTENT_TYPE = "image/jpeg"
_KEPT_FOR_SECONDS = 30 * 24 * 3_600
"""Default for the first documents, which lack the field."""
Document = dict[str, Any]


def encode_task_document(task: Task) -> Document:
    """Return the document of a task."""
    return {
        "version": VERSION,
        "id": task.id,
        "user_id": task.user_id,
        "status": task.status.value,
        "model": task.parameters.model,
        "parameters": task.parameters.model_dump(mode="json"),
        "work_units": task.parameters.work_units,
        "predicted_seconds": task.predicted_seconds,
        "lane": task.lane.value,
        "labels": dict(task.labels),
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
        "claim": None if task.claim is None else _encode_claim(task.claim),
        "history": [asdict(attempt) for attempt in task.history],
        "cancel_requested_at": task.cancel_requested_at,
        "progress": {**asdict(task.progress), "phase": task.progress.phase.value},
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
    }


def decode_task_document(document: Mapping[str, Any], *, revision: str | None = None) -> Task:
    """Parse a document. Raises UndecodableError if a field is missing or of the wrong type."""
    check_version(document.get("version"))
    try:
        return _decode(document, revision)
    except (KeyError, TypeError, ValueError, ValidationError, AttributeError) as exc:
        raise UndecodableError(f"task document: {type(exc).__name__}") from exc


def _decode(document: Mapping[str, Any], revision: str | None) -> Task:
    claim, failure = document["claim"], document["failure"]
    return Task(
        id=document["id"],
        user_id=document["user_id"],
        parameters=GenerationParameters.model_validate(document["parameters"]),
        status=TaskStatus(document["status"]),
        created_at=_moment(document["created_at"]),
        updated_at=_moment(document["updated_at"]),
        queued_at=_moment(document.get("queued_at", document["created_at"])),
        keep_for=timedelta(seconds=document.get("keep_for_seconds", _KEPT_FOR_SECONDS)),
        expires_at=_moment_or_none(document["expires_at"]),
        enqueued_at=_moment_or_none(document["enqueued_at"]),
        started_at=_moment_or_none(document["started_at"]),
        finished_at=_moment_or_none(document["finished_at"]),
        start_by=_moment_or_none(document["start_by"]),
        attempt=document["attempt"],
        attempts_left=document["attempts_left"],
        claim=None if claim is None else _decode_claim(claim),
        history=tuple(_decode_ended_attempt(attempt) for attempt in document.get("history", ())),
        cancel_requested_at=_moment_or_none(document["cancel_requested_at"]),
        progress=_decode_progress(document["progress"]),
        previews=tuple(_decode_preview(preview) for preview in document["previews"]),
        images=tuple(_decode_image(image) for image in document["images"]),
        failed_images=tuple(
            FailedImage(index=image["index"], code=image["code"], message=image["message"])
            for image in document.get("failed_images", ())
        ),
        failure=None
        if failure is None
        else Failure(code=failure["code"], message=failure["message"], retryable=failure["retryable"]),
        warnings=tuple(_decode_warning(warning) for warning in document.get("warnings", ())),
        usage=_decode_usage(document["usage"]),
        traceparent=document.get("traceparent"),
        event_pending_since=_moment_or_none(
            document.get("event_pending_since") or document.get(EVENT_PENDING_SINCE_BEFORE_1_7)
        ),
        predicted_seconds=_number_or_none(document.get("predicted_seconds")),
        lane=Lane(document["lane"]),
        labels=dict(document["labels"]),
        callback_url=document["callback_url"],
        callback_events=tuple(document["callback_events"]),
        revision=revision,
    )


def _moment(value: object) -> datetime:
    """Return a plain, aware datetime: DatetimeWithNanoseconds does not pickle or compare like one."""
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise TypeError("not an aware timestamp")
    return datetime.combine(value.date(), value.timetz())


def _moment_or_none(value: object) -> datetime | None:
    return None if value is None else _moment(value)


def _number_or_none(value: Any) -> float | None:
    return None if value is None else float(value)


def _encode_claim(claim: Claim) -> Document:
    return {**asdict(claim), "runs": _encode_runs(claim.runs)}


def _encode_runs(runs: tuple[RunSeconds, ...]) -> list[Document]:
    return [asdict(run) for run in runs]


def _decode_runs(runs: Iterable[Mapping[str, Any]]) -> tuple[RunSeconds, ...]:
    return tuple(
        RunSeconds(
            index=run["index"],
            gpu_seconds=float(run["gpu_seconds"]),
            resumed=run["resumed"],
            lost_seconds=float(run["lost_seconds"]),
        )
        for run in runs
    )


def _decode_claim(claim: Mapping[str, Any]) -> Claim:
    return Claim(
        worker_id=claim["worker_id"],
        attempt=claim["attempt"],
        expires_at=_moment(claim["expires_at"]),
        claimed_at=_moment_or_none(claim.get("claimed_at")),
        traceparent=claim.get("traceparent"),
        runs=_decode_runs(claim.get("runs", ())),
    )


def _decode_ended_attempt(attempt: Mapping[str, Any]) -> PastAttempt:
    return PastAttempt(
        attempt=attempt["attempt"],
        worker_id=attempt["worker_id"],
        ending=attempt["ending"],
        started_at=_moment_or_none(attempt["started_at"]),
        ended_at=_moment(attempt["ended_at"]),
        traceparent=attempt.get("traceparent"),
        gpu_seconds=_number_or_none(attempt.get("gpu_seconds")),
    )


def _decode_progress(progress: Mapping[str, Any]) -> Progress:
    return Progress(
        phase=Phase(progress["phase"]),
        step=progress["step"],
        steps=progress["steps"],
        value=float(progress["value"]),
    )


def _encode_preview(preview: Preview) -> Document:
    return {
        "index": preview.index,
        "step": preview.step,
        "content_type": PREVIEW_CONTENT_TYPE,
        "data": preview.jpeg,
    }


def _decode_preview(preview: Mapping[str, Any]) -> Preview:
    return Preview(index=preview["index"], step=preview["step"], jpeg=preview["data"])


def _encode_image(image: StoredImage) -> Document:
    provenance = None if image.provenance is None else image.provenance.model_dump(mode="json")
    return {**asdict(image), "provenance": provenance}


def _decode_image(image: Mapping[str, Any]) -> StoredImage:
    provenance = image.get("provenance")
    return StoredImage(
        **{name: image[name] for name in StoredImage.__dataclass_fields__ if name != "provenance"},
        provenance=None if provenance is None else Provenance.model_validate(provenance),
    )


def _decode_warning(warning: Mapping[str, Any]) -> TaskWarning:
    return TaskWarning(code=warning["code"], pointer=warning["pointer"], detail=warning["detail"])


def _decode_usage(usage: Mapping[str, Any]) -> Usage:
    return Usage(
        inference_seconds=usage["inference_seconds"],
        gpu_seconds=usage["gpu_seconds"],
        wasted_gpu_seconds=usage["wasted_gpu_seconds"],
        open_runs=_decode_runs(usage.get("open_runs", ())),
    )

"""The wire formats, byte for byte as other programs read them.

A change here is a change of contract.
"""

import base64
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.domain.images import Preview, StoredImage
from common.domain.provenance import Resume
from common.domain.task import (
    AttemptOutput,
    FailedImage,
    Failure,
    Phase,
    Progress,
    RunSeconds,
    Task,
    Usage,
)
from common.domain.task_records import ImageProgress, PastAttempt, TaskWarning
from common.domain.worker_report import (
    BrokenModel,
    ModelTimes,
    PredictionSample,
    SizeTimes,
    StepFactors,
    WorkerReport,
)
from common.wire_formats.task_document import decode_task_document, encode_task_document
from common.wire_formats.task_event import (
    callback_event_of,
    decode_task_event,
    encode_task_event,
    ending_of,
    progress_of,
    start_of,
)
from common.wire_formats.task_message import decode_task_message, encode_task_message, task_message_attributes
from common.wire_formats.versions import UndecodableError, UnsupportedVersionError
from common.wire_formats.worker_report import decode_worker_report, encode_worker_report
from tests.factories import NOW, provenance, submitted_task

TRACE = "0af7651916cd43dd8448eb211c80319c"
GOLDEN = Path(__file__).parents[3] / "golden"


def full_task() -> Task:
    task = submitted_task(
        labels={"team": "pictures"},
        callback_url="https://example.com/hook",
        callback_headers={"Authorization": "c2VhbGVk"},
        predicted_seconds=4.25,
        traceparent=f"00-{TRACE}-b7ad6b7169203331-01",
    )
    task = task.enqueued(NOW + timedelta(seconds=1))
    task = task.claimed_by(
        "worker-1",
        NOW + timedelta(seconds=2),
        timedelta(seconds=60),
        traceparent=f"00-{TRACE}-00f067aa0ba902b7-01",
    )
    assert task.claim is not None
    return replace(
        task.renewed(
            task.claim,
            NOW + timedelta(seconds=3, microseconds=123_456),
            timedelta(seconds=60),
            progress=Progress(
                phase=Phase.DENOISING,
                step=7,
                steps=20,
                value=0.35,
                images=(ImageProgress(index=0, phase=Phase.DENOISING, step=7),),
            ),
            previews=(Preview(index=0, step=7, jpeg=b"\xff\xd8jpeg"),),
            output=AttemptOutput(
                runs=(RunSeconds(index=0, gpu_seconds=0.5, resumed=True, lost_seconds=0.125),),
                generating_since=NOW + timedelta(seconds=4),
            ),
        ),
        callback_seal="5ea1",
        history=(
            PastAttempt(
                attempt=1,
                worker_id="worker-0",
                ending="claim_expired",
                started_at=NOW + timedelta(seconds=1),
                ended_at=NOW + timedelta(seconds=2),
                traceparent=f"00-{TRACE}-c7ad6b7169203331-01",
                gpu_seconds=0.75,
            ),
        ),
        failure=Failure(code="engine_crashed", message="the engine process died", retryable=True),
        warnings=(TaskWarning(code="seed_folded", pointer="/seed", detail="Only 32 bits are used."),),
        usage=Usage(
            inference_seconds=1.5,
            gpu_seconds=1.25,
            wasted_gpu_seconds=0.5,
            open_runs=(RunSeconds(index=0, gpu_seconds=0.75),),
        ),
        failed_images=(
            FailedImage(index=1, code="content_filtered", message="the safety checker refused the picture"),
        ),
        images=(
            StoredImage(
                index=0,
                object_name="tasks/task-1/attempt-1/0.png",
                width=256,
                height=256,
                seed=12_345,
                content_type="image/png",
                size_bytes=51_234,
                sha256="ab" * 32,
                provenance=provenance(resumes=(Resume(step=7),)),
            ),
        ),
    )


def worker_report() -> WorkerReport:
    return WorkerReport(
        worker_id="worker-1",
        models=("demo", "another"),
        device="cpu",
        slots=4,
        deliveries=5,
        reported_at=NOW,
        alive_until=NOW + timedelta(seconds=30),
        expires_at=NOW + timedelta(days=7),
        times=(
            ModelTimes(
                model="demo",
                gpu_seconds_per_unit=0.5,
                sizes=(
                    SizeTimes(
                        pass_pixels=131_072,
                        step_seconds=0.05,
                        alone_step_seconds=0.0625,
                        preparing_seconds=0.01,
                        decoding_seconds=0.125,
                        images=17,
                    ),
                ),
                factors=StepFactors(loras=1.25, control=1.5),
            ),
        ),
        handling_seconds=0.25,
        predictions=(PredictionSample(predicted_seconds=4.0, took_seconds=4.5),),
        broken_models=(
            BrokenModel(
                model="another",
                reason="OSError: no weights",
                failures=2,
                retry_at=NOW + timedelta(seconds=10),
            ),
        ),
    )


def completed_task() -> Task:
    task = full_task()
    assert task.claim is not None
    return task.completed(task.claim, task.images, NOW + timedelta(seconds=4))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"timestamp": value.isoformat()}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text())


def test_task_message_has_the_attributes_of_its_pool() -> None:
    attributes = {"model": "demo", "pool": "demo", "lane": "interactive", "task_id": "task-1"}
    assert task_message_attributes(full_task()) == attributes
    assert task_message_attributes(full_task(), pool="large") == attributes | {"pool": "large"}


@pytest.mark.parametrize(
    ("encoded", "file"),
    [
        (encode_task_document(full_task()), "task_document.json"),
        (json.loads(encode_task_message(full_task(), result_bucket="images")), "task_message.json"),
        (json.loads(encode_task_event(ending_of(completed_task()))), "task_event.json"),
        (encode_worker_report(worker_report()), "worker_report.json"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_encoded_value_equals_the_golden_file(encoded: Any, file: str) -> None:
    assert _plain(encoded) == golden(file)


def test_worker_report_round_trip_ignores_unknown_fields() -> None:
    older = encode_worker_report(worker_report())
    del older["broken_models"]
    assert decode_worker_report(older) == replace(worker_report(), broken_models=())
    silent = replace(worker_report(), times=(), predictions=(), handling_seconds=None)
    for report in (worker_report(), silent):
        document = encode_worker_report(report) | {"version": "1.7", "from_the_future": 1}
        assert decode_worker_report(document) == report


@pytest.mark.parametrize(
    "broken",
    [{"version": "2.0"}, {"slots": "many"}, {"alive_until": None}, {"times": [{"model": "demo"}]}],
    ids=str,
)
def test_broken_worker_report_is_undecodable(broken: dict[str, Any]) -> None:
    with pytest.raises(UndecodableError):
        decode_worker_report(encode_worker_report(worker_report()) | broken)


@pytest.mark.parametrize("pace", [0.0, -1.0, float("nan"), float("inf")])
def test_worker_report_with_invalid_times_is_undecodable(pace: float) -> None:
    """Other processes divide by it: one worker's invalid value would stop every submission."""
    document = encode_worker_report(worker_report())
    document["times"][0]["gpu_seconds_per_unit"] = pace
    with pytest.raises(UndecodableError, match="gpu_seconds_per_unit"):
        decode_worker_report(document)


def test_task_document_round_trip_ignores_unknown_fields() -> None:
    for task in (submitted_task(), full_task(), completed_task()):
        document = encode_task_document(task)
        document["from_the_future"] = {"a": 1}
        assert decode_task_document(document) == task


def test_first_version_gets_default_expiry_and_queued_since() -> None:
    document = encode_task_document(submitted_task())
    del document["keep_for_seconds"], document["queued_at"]
    task = decode_task_document(document)
    assert (task.keep_for, task.queued_at) == (timedelta(days=30), task.created_at)


@pytest.mark.parametrize(
    ("version", "field", "empty"),
    [
        ("1.1", "event_pending_since", None),
        ("1.2", "predicted_seconds", None),
        ("1.5", "warnings", ()),
        ("1.5", "failed_images", ()),
    ],
)
def test_field_that_an_older_document_lacks_is_empty(version: str, field: str, empty: object) -> None:
    document = encode_task_document(full_task())
    del document[field]
    assert getattr(decode_task_document(document | {"version": version}), field) == empty


def test_work_of_a_document_is_kept_and_that_of_an_older_one_is_computed() -> None:
    document = encode_task_document(submitted_task(work_units=12.5))
    assert decode_task_document(document).work_units == 12.5
    del document["work_units"]
    task = decode_task_document(document | {"version": "1.2"})
    assert task.work_units == task.parameters.work_units


def test_warning_of_an_older_document_has_no_tokens() -> None:
    document = encode_task_document(full_task())
    del document["warnings"][0]["tokens"]
    assert decode_task_document(document | {"version": "1.10"}) == full_task()


def test_document_without_a_required_field_is_undecodable() -> None:
    for field in ("attempt", "attempts_left", "claim", "progress", "images", "usage", "lane"):
        document = encode_task_document(full_task())
        del document[field]
        with pytest.raises(UndecodableError):
            decode_task_document(document)


def test_document_without_history_has_none() -> None:
    document = encode_task_document(full_task())
    del document["history"], document["claim"]["claimed_at"]
    task = decode_task_document(document | {"version": "1.0"})
    assert task.history == ()
    assert task.claim is not None
    handed_back = task.handed_back(task.claim, NOW)
    assert [attempt.started_at for attempt in handed_back.history] == [None]
    assert decode_task_document(encode_task_document(handed_back)) == handed_back


def test_task_message_round_trip_ignores_unknown_fields() -> None:
    task = full_task()
    body = json.loads(encode_task_message(task, result_bucket="images"))
    body |= {"version": "1.7", "from_the_future": 1}
    body["payload"]["from_the_future"] = 1
    message = decode_task_message(json.dumps(body).encode())
    assert (message.task_id, message.user_id, message.parameters) == (task.id, task.user_id, task.parameters)
    assert (message.submitted_at, message.result_bucket) == (task.created_at, "images")


def test_task_event_round_trip_keeps_the_id() -> None:
    event = ending_of(completed_task())
    assert decode_task_event(encode_task_event(event)) == event
    assert ending_of(completed_task()).id == event.id
    assert ending_of(submitted_task().cancelled(NOW)).id != event.id


def test_final_event_has_a_new_id_after_a_retry() -> None:
    first = submitted_task().cancelled(NOW)
    second = first.resubmitted(NOW).cancelled(NOW + timedelta(milliseconds=1))
    assert second.attempt == first.attempt
    assert ending_of(second).id != ending_of(first).id


def test_task_document_has_its_pending_event_under_the_old_name_in_version_1_6() -> None:
    document = encode_task_document(full_task())
    del document["event_pending_since"]
    old = document | {"version": "1.6", "untold_since": NOW}
    assert decode_task_document(old).event_pending_since == NOW


def test_document_without_traces_has_none_and_history_gets_the_attempts() -> None:
    task = full_task()
    assert task.claim is not None
    assert task.handed_back(task.claim, NOW).history[-1].traceparent == task.claim.traceparent
    document = encode_task_document(task)
    del document["traceparent"], document["claim"]["traceparent"], document["history"][0]["traceparent"]
    read = decode_task_document(document | {"version": "1.3"})
    assert read.claim is not None
    assert (read.traceparent, read.claim.traceparent, read.history[0].traceparent) == (None, None, None)


def test_start_event_id_is_per_attempt_and_progress_id_per_step() -> None:
    first = submitted_task().claimed_by("worker-1", NOW, timedelta(seconds=60))
    assert first.claim is not None
    second = first.handed_back(first.claim, NOW).claimed_by("worker-2", NOW, timedelta(seconds=60))
    further = replace(first, progress=replace(first.progress, step=7))
    events = [make(task) for make in (start_of, progress_of) for task in (first, further, second)]
    assert len({event.id for event in events}) == 5
    assert start_of(first).id == start_of(further).id
    assert [callback_event_of(event) for event in events] == ["started"] * 3 + ["progress"] * 3
    assert callback_event_of(ending_of(completed_task())) == "finished"


def test_unfinished_task_has_no_final_event() -> None:
    with pytest.raises(ValueError, match="has not ended"):
        ending_of(submitted_task())


def _changed(**changes: Any) -> bytes:
    return json.dumps(golden("task_message.json") | changes).encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x00\xff not json", "body is not JSON"),
        (b"[" * 100_000, "body is not JSON"),
        (b"[]", "body is not a JSON object"),
        (b"{}", "version is missing"),
        (_changed(version=1), "version is missing"),
        (_changed(task_id=None), "task_id: string_type"),
        (_changed(task_id="../../etc"), "task_id: string_pattern_mismatch"),
        (_changed(submitted_at="2026-01-01T00:00:00"), "submitted_at: timezone_aware"),
        (_changed(payload={"prompt": "x"}), "payload/model: missing"),
        (_changed(payload="paint"), "payload: model_type"),
        (b" " * 1_000_001, "body has 1000001 bytes"),
    ],
)
def test_undecodable_message_error_contains_no_user_input(body: bytes, reason: str) -> None:
    with pytest.raises(UndecodableError) as refused:
        decode_task_message(body)
    assert refused.value.reason.startswith(reason)


def test_unsupported_version_is_distinguished() -> None:
    with pytest.raises(UnsupportedVersionError):
        decode_task_message(_changed(version="2.0"))
    with pytest.raises(UnsupportedVersionError):
        decode_task_document(encode_task_document(full_task()) | {"version": "2.0"})


def test_broken_document_is_undecodable() -> None:
    for field in ("status", "parameters", "claim", "created_at", "previews", "history"):
        with pytest.raises(UndecodableError):
            decode_task_document(encode_task_document(full_task()) | {field: 17})

"""The history of the operator page: recording by the scheduler, and reading."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from common.domain.task import Failure
from frontend_api.clock_minute import MINUTE, minute_of
from frontend_api.history.minutes import Minute
from frontend_api.history.record import RecordResponses
from frontend_api.operations.response_counts import ResponseCounts, ResponseShare
from tests.factories import claim_of, spent, worker_report
from tests.fakes.fake_clock import FakeClock
from tests.fakes.immediate_executor import ImmediateExecutor
from tests.fakes.in_memory_minute_history import InMemoryMinuteHistory
from tests.unit.frontend_api.conftest import Api, signed_in_as
from tests.unit.frontend_api.history.samples import minute_sample

OPERATOR = signed_in_as("olga")


def read(api: Api, hours: int | None = None) -> Any:
    query = {} if hours is None else {"hours": hours}
    response = api.client.get("/v1/operations/history", query_string=query, headers=OPERATOR)
    assert response.status_code == 200, response.text
    return response.get_json()


def started_minute(api: Api) -> datetime:
    return minute_of(api.clock.now())


def test_recorded_minute_contains_the_figures_of_the_store(api: Api) -> None:
    minute = started_minute(api)
    api.stored_task(task_id="waiting")
    api.claimed_task(task_id="running")
    api.completed_task(task_id="done")
    api.claimed_task(task_id="lost")
    failure = Failure(code="device_lost", message="no picture")
    api.store.update("lost", lambda t: t.failed(claim_of(t), failure, api.clock.now(), output=spent(1.5)))
    alive = {"reported_at": api.clock.now(), "alive_until": api.clock.now() + timedelta(minutes=5)}
    api.reports.publish(worker_report("worker-1", **alive))
    api.clock.advance(61)
    api.completed_task(task_id="after-the-minute")
    response = api.call_internal("record-history")
    assert response.get_json() == {"minute": "2026-01-01T12:00:00Z"}
    assert api.minute_history.minutes[minute].sample == minute_sample(
        queued=1,
        oldest_seconds=61.0,
        processing=1,
        workers=1,
        completed=1,
        failed=1,
        cancelled=0,
        gpu_seconds=0.0,
        wasted_gpu_seconds=1.5,
    )


def test_minute_is_measured_once_per_process(api: Api) -> None:
    for _ in range(3):
        assert api.call_internal("record-history").status_code == 200
    assert api.stats.calls["totals"] == 3
    api.clock.advance(60)
    api.call_internal("record-history")
    assert api.stats.calls["totals"] == 6


def test_unavailable_store_returns_503_and_the_next_call_records(api: Api) -> None:
    api.minute_history.unavailable = True
    assert api.call_internal("record-history").status_code == 503
    api.minute_history.unavailable = False
    assert api.call_internal("record-history").status_code == 200
    assert len(api.minute_history.minutes) == 1


def test_history_contains_buckets_of_five_minutes_by_default(api: Api) -> None:
    minute = started_minute(api)
    api.minute_history.record(minute - MINUTE, minute_sample())
    api.minute_history.record(minute - timedelta(hours=7), minute_sample())
    assert read(api) == {
        "since": "2026-01-01T06:00:00Z",
        "until": "2026-01-01T12:00:00Z",
        "bucket_seconds": 300,
        "buckets": [
            {
                "start": "2026-01-01T11:55:00Z",
                "measured_minutes": 1,
                "queued": 3,
                "oldest_seconds": 20.5,
                "processing": 2.0,
                "workers": 1.0,
                "completed": 4,
                "failed": 1,
                "cancelled": 0,
                "gpu_seconds": 30.25,
                "wasted_gpu_seconds": 1.5,
                "responses": 0,
                "failed_responses": 0,
            }
        ],
    }


@pytest.mark.parametrize(("hours", "seconds", "buckets"), [(1, 60, 2), (6, 300, 3), (24, 900, 4)])
def test_history_covers_the_requested_hours(api: Api, hours: int, seconds: int, buckets: int) -> None:
    for minutes in (1, 59, 119, 1_439, 1_500):
        api.minute_history.record(started_minute(api) - minutes * MINUTE, minute_sample())
    answer = read(api, hours)
    assert (answer["bucket_seconds"], len(answer["buckets"])) == (seconds, buckets)


@pytest.mark.parametrize("hours", ["0", "25", "1.5", "x"])
def test_history_refuses_other_numbers_of_hours(api: Api, hours: str) -> None:
    response = api.client.get(f"/v1/operations/history?hours={hours}", headers=OPERATOR)
    assert (response.status_code, response.get_json()["code"]) == (422, "parameters_rejected")


def test_history_is_read_once_in_fifteen_seconds(api: Api) -> None:
    for _ in range(3):
        read(api)
    assert api.minute_history.reads == 1
    api.clock.advance(15)
    read(api)
    assert api.minute_history.reads == 2


def test_history_returns_503_when_the_store_is_unavailable(api: Api) -> None:
    api.minute_history.unavailable = True
    assert api.client.get("/v1/operations/history", headers=OPERATOR).status_code == 503


def test_responses_are_stored_after_their_minute(api: Api) -> None:
    minute = started_minute(api)
    api.client.get("/v1/models")
    api.stats.unavailable = True
    api.client.get("/v1/queue")
    api.client.get("/healthz")
    assert api.minute_history.minutes == {}
    api.clock.advance(60)
    api.client.get("/v1/models")
    assert api.minute_history.minutes == {minute: Minute(responses=ResponseShare(all=2, failed=1))}


def recorder_of(history: InMemoryMinuteHistory, clock: FakeClock) -> RecordResponses:
    return RecordResponses(
        counts=ResponseCounts(clock), history=history, writer=ImmediateExecutor(), clock=clock
    )


def test_responses_of_an_outage_are_stored_after_it() -> None:
    history, clock = InMemoryMinuteHistory(), FakeClock()
    record = recorder_of(history, clock)
    history.unavailable = True
    first = clock.now()
    for _ in range(3):
        record.add(503)
        clock.advance(60)
    history.unavailable = False
    record.add(200)
    outage = Minute(responses=ResponseShare(all=1, failed=1))
    assert history.minutes == {first + number * MINUTE: outage for number in range(3)}
    clock.advance(60)
    record.add(200)
    assert history.minutes[first + 3 * MINUTE] == Minute(responses=ResponseShare(all=1))


def test_responses_of_the_last_hour_are_kept_during_an_outage() -> None:
    history, clock = InMemoryMinuteHistory(), FakeClock()
    record = recorder_of(history, clock)
    history.unavailable = True
    for _ in range(100):
        record.add(503)
        clock.advance(60)
    history.unavailable = False
    record.add(200)
    assert len(history.minutes) == 59

"""The API's telemetry: requests in the caller's trace, pushes in the message's, queue gauges."""

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from common.domain.errors import DependencyUnavailableError
from common.observability.tracing import injected, spanned
from common.wire_formats.task_event import encode_task_event, ending_of
from frontend_api.stats.metrics import QueueGauges
from frontend_api.stats.queue import QueueState
from frontend_api.webhooks.delivery_log import Outcome
from tests.recorded_telemetry import CountedMetrics, RecordedSpans, labelled
from tests.unit.frontend_api.conftest import Api
from tests.unit.frontend_api.dead_letters.test_routes import envelope

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLERS = f"00-{TRACE}-b7ad6b7169203331-00"
URL = "https://hooks.example.com/a-secret-path"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> RecordedSpans:
    return RecordedSpans(monkeypatch)


def test_request_and_task_continue_the_callers_trace(api: Api, spans: RecordedSpans) -> None:
    answer = api.client.post("/v1/tasks", json={"prompt": "a red circle"}, headers={"traceparent": CALLERS})
    assert answer.headers["X-Trace-Id"] == TRACE
    request = spans.one("POST /v1/tasks")
    assert (request.kind, f"{request.context.trace_id:032x}") == (SpanKind.SERVER, TRACE)
    task = api.store.get(answer.get_json()["id"])
    assert task.traceparent == f"00-{TRACE}-{request.context.span_id:016x}-01"
    attributes = dict(request.attributes or {})
    assert (attributes["http.route"], attributes["http.response.status_code"]) == ("/v1/tasks", 202)
    assert attributes["darkroom.task_id"] == task.id
    assert "red circle" not in request.to_json()


@pytest.mark.parametrize("header", ["", "00-zz-zz-00", "nonsense", f"00-{'0' * 32}-b7ad6b7169203331-01"])
def test_invalid_traceparent_starts_a_new_trace(api: Api, spans: RecordedSpans, header: str) -> None:
    assert api.client.get("/v1/models", headers={"traceparent": header}).status_code == 200
    assert spans.one("GET /v1/models").parent is None


def test_request_metrics_have_only_known_routes_and_methods(api: Api) -> None:
    counted = CountedMetrics()
    api.client.get("/v1/tasks/unknown-1")
    api.client.get("/v1/tasks/unknown-2")
    api.client.open("/v1/models", method="BREW")
    requests = {
        (
            dict(key)["http.request.method"],
            dict(key).get("http.route"),
            dict(key)["http.response.status_code"],
        ): n
        for key, n in counted.of("http.server.request.duration").items()
    }
    assert requests == {("GET", "/v1/tasks/<task_id>", 404): 2, ("_OTHER", None, 405): 1}


def test_webhook_continues_the_messages_trace_linked_to_the_push(api: Api, spans: RecordedSpans) -> None:
    task = api.completed_task(callback_url=URL)
    api.receiver.outcomes = [Outcome(status=500, duration_seconds=0.1)]
    with spanned("process darkroom-tasks-demo"):
        attributes = injected({"type": "task.completed"})
    body = envelope(encode_task_event(ending_of(task)), died_at=api.clock.now())
    body["message"]["attributes"] = attributes
    assert api.call_internal("events", body).status_code == 204

    attempt, push, outgoing = (
        spans.one(name) for name in ("process darkroom-tasks-demo", "POST /internal/events", "POST")
    )
    (process,) = (span for span in spans.all if span.kind is SpanKind.CONSUMER)
    assert process.context.trace_id == attempt.context.trace_id == outgoing.context.trace_id
    assert push.context.trace_id != attempt.context.trace_id
    assert [link.context.span_id for link in process.links] == [push.context.span_id]
    (sent,) = api.receiver.sent
    assert sent.headers["traceparent"].startswith(
        f"00-{attempt.context.trace_id:032x}-{outgoing.context.span_id:016x}-"
    )
    assert outgoing.status.status_code is StatusCode.ERROR
    assert "a-secret-path" not in outgoing.to_json()

    api.clock.advance(30)
    assert api.call_internal("retry-webhooks").status_code == 200
    _first, retried = (span for span in spans.all if span.name == "POST")
    assert retried.parent is not None
    assert retried.parent.span_id == process.context.span_id


def test_webhook_attempts_are_counted_by_outcome(api: Api) -> None:
    counted = CountedMetrics()
    api.receiver.outcomes = [
        Outcome(status=500),
        Outcome(error="the receiver did not answer in time"),
        Outcome(status=204),
    ]
    task = api.completed_task(callback_url=URL)
    api.call_internal("events", envelope(encode_task_event(ending_of(task)), died_at=api.clock.now()))
    for _ in range(2):
        api.clock.advance(30)
        api.call_internal("retry-webhooks")
    assert counted.of("darkroom.webhooks.tries") == {
        labelled(outcome=outcome): 1 for outcome in ("refused", "failed", "delivered")
    }


def test_finished_tasks_are_counted_when_their_event_is_published(api: Api) -> None:
    counted = CountedMetrics()
    task_id = api.client.post("/v1/tasks", json={"prompt": "a red circle"}).get_json()["id"]
    for _ in range(2):
        api.client.post(f"/v1/tasks/{task_id}/cancel")
    assert counted.of("darkroom.tasks.finished") == {labelled(model="demo", status="cancelled"): 1}


def test_queue_gauges_are_empty_without_the_store(api: Api) -> None:
    api.client.post("/v1/tasks", json={"prompt": "a red circle"})
    api.clock.advance(7)
    now, asked = [0.0], []

    def read_queue() -> QueueState:
        asked.append(now[0])
        if len(asked) == 5:
            raise DependencyUnavailableError("firestore")
        standing: QueueState = api.dependencies.stats()
        return standing

    gauges = QueueGauges(read_queue, clock=lambda: now[0])
    assert (gauges.depth(), gauges.in_flight()) == ({("demo",): 1}, {("demo",): 0})
    assert (gauges.oldest_age(), gauges.dead_letters()) == ({("demo",): 7.0}, {(): 0})
    assert (gauges.depth(), gauges.dead_letters()) == ({}, {}), "an empty reading is none"
    assert len(asked) == 5, "the second gauge did not wait for the store again"
    now[0] = 60.0
    assert gauges.depth() == {("demo",): 1}

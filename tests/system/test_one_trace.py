"""A stack with --observe: one trace joins API, Pub/Sub, worker, bucket and webhook, and metrics can
be fetched.
"""

from pathlib import Path

import pytest

from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from local_stack.views.metrics import fetch_metrics, format_metrics
from local_stack.views.traces import Span, format_traces, read_spans
from tests.fakes.webhook_receiver import WebhookReceiver
from tests.system_client import SystemClient

pytestmark = pytest.mark.end_to_end
TRACE = "0af7651916cd43dd8448eb211c80319c"
IN_THE_BROWSER = "b7ad6b7169203331"
WAY = {
    "POST /v1/tasks": "SERVER",
    "send darkroom-tasks": "PRODUCER",
    "process darkroom-tasks-demo": "CONSUMER",
    "claim": "INTERNAL",
    "draw image": "INTERNAL",
    "store image": "CLIENT",
    "end attempt": "INTERNAL",
    "send darkroom-task-events": "PRODUCER",
    "process darkroom-task-events-push": "CONSUMER",
    "POST": "CLIENT",
}
"""The spans of a task with one image, by name and kind."""


def one(spans: list[Span], name: str) -> Span:
    (span,) = (span for span in spans if span.name == name)
    return span


def test_one_trace_joins_request_message_worker_bucket_and_webhook(tmp_path: Path) -> None:
    settings = StackSettings(data_directory=tmp_path, writes_traces=True)
    with LocalStack(settings) as stack:
        assert stack.page_url is not None
        with SystemClient(stack.page_url, stack.environment) as client:
            (secret,) = client.http.get("/v1/webhook-secrets").raise_for_status().json()["secrets"]
            with WebhookReceiver([secret["secret"]]) as receiver:
                client.http.headers["traceparent"] = f"00-{TRACE}-{IN_THE_BROWSER}-01"
                task_id = client.submit("a large red circle", callback_url=receiver.url)
                assert receiver.wait_until(lambda: bool(receiver.taken), timeout_seconds=120)
                assert [trace_id_of(traceparent) for traceparent in receiver.traceparents] == [TRACE]
        shown = {name: list(format_metrics(text)) for name, text in fetch_metrics(stack.ports).items()}

    # Read after the stack has stopped: by then every span has ended.
    spans = [span for span in read_spans(tmp_path / "traces") if span.trace_id == TRACE]
    assert {span.name: span.kind for span in spans} == WAY
    assert len(spans) == len(WAY)

    request, process = one(spans, "POST /v1/tasks"), one(spans, "process darkroom-tasks-demo")
    assert request.parent_id == IN_THE_BROWSER
    assert one(spans, "send darkroom-tasks").parent_id == request.span_id
    assert process.parent_id == one(spans, "send darkroom-tasks").span_id
    for part in ("claim", "draw image", "store image", "end attempt", "send darkroom-task-events"):
        assert one(spans, part).parent_id == process.span_id, part
    assert process.links == ()

    push_consumer = one(spans, "process darkroom-task-events-push")
    assert push_consumer.parent_id == one(spans, "send darkroom-task-events").span_id
    assert one(spans, "POST").parent_id == push_consumer.span_id
    (push,) = (span for span in read_spans(tmp_path / "traces") if span.name == "POST /internal/events")
    assert push_consumer.links == ((push.trace_id, push.span_id),)
    assert {span.process for span in spans} == {"darkroom-api", "darkroom-worker"}
    assert {request.attributes["darkroom.task_id"], process.attributes["darkroom.task_id"]} == {task_id}
    assert one(spans, "draw image").events == ("encoding_prompt", "denoising", "decoding")

    view = list(format_traces(read_spans(tmp_path / "traces"), count=1))
    assert len(view) == len(spans) + 1
    assert TRACE in view[0]

    assert set(shown) == {"api", "worker-0"}
    assert any(line.startswith("darkroom_queue_depth{model=demo}") for line in shown["api"])
    assert "darkroom_tasks_finished{model=demo, status=completed}  1" in shown["worker-0"]
    assert any(line.startswith("darkroom_step_duration_seconds{model=demo}") for line in shown["worker-0"])


def trace_id_of(traceparent: str) -> str:
    return traceparent.split("-")[1]

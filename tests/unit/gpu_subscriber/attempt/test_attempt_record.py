"""The telemetry of an attempt: its spans, all in the message's trace, and its metrics."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from common.domain.task import Failure, TaskStatus
from common.observability.gpu_cost import GpuCost
from common.observability.tracing import current_traceparent, injected, spanned
from gpu_subscriber.errors import GenerationFailedError, GenerationInterruptedError
from gpu_subscriber.ports import Delivery, Piece, Settlement
from tests.fakes.scripted_generator import ScriptedGeneration, draw_everything
from tests.fakes.worker_bench import CLAIM_TTL, WorkerBench, delivery_of
from tests.recorded_telemetry import CountedMetrics, RecordedSpans, labelled

OUT_OF_MEMORY = Failure(code="out_of_gpu_memory", message="too big", retryable=True)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> RecordedSpans:
    return RecordedSpans(monkeypatch)


@pytest.fixture
def counted() -> CountedMetrics:
    return CountedMetrics()


def first_fails(generation: ScriptedGeneration) -> Iterator[Piece]:
    if generation.task.attempt > 1:
        yield from draw_everything(generation)
        return
    generation.spend(0, 2.0)
    raise GenerationFailedError(OUT_OF_MEMORY)


def submitted(bench: WorkerBench) -> tuple[Delivery, str]:
    """Return the delivery of a task submitted in a request's trace, and that request's traceparent."""
    with spanned("POST /v1/tasks", kind=SpanKind.SERVER):
        carried = current_traceparent()
        assert carried is not None
        task = bench.submit(traceparent=carried)
        delivery = replace(
            delivery_of(task), attributes=injected({"model": "demo"}), subscription="darkroom-tasks-demo"
        )
    return delivery, carried


def test_attempt_is_one_span_in_the_requests_trace(bench: WorkerBench, spans: RecordedSpans) -> None:
    delivery, _ = submitted(bench)
    bench.worker()(delivery)
    request, process = spans.one("POST /v1/tasks"), spans.one("process darkroom-tasks-demo")
    assert {span.context.trace_id for span in spans.all} == {request.context.trace_id}
    assert process.parent is not None
    assert process.parent.span_id == request.context.span_id
    parts = [
        span.name for span in spans.all if span.parent and span.parent.span_id == process.context.span_id
    ]
    assert parts == ["claim", "store image", "end attempt"]
    assert process.kind is SpanKind.CONSUMER
    attributes = dict(process.attributes or {})
    assert attributes["messaging.system"] == "gcp_pubsub"
    assert (attributes["darkroom.attempt"], attributes["darkroom.lane"]) == (1, "interactive")
    assert process.status.status_code is StatusCode.UNSET
    assert process.links == ()
    assert "red circle" not in str([span.to_json() for span in spans.all]), "never a prompt"


def test_second_attempts_span_links_to_the_first(bench: WorkerBench, spans: RecordedSpans) -> None:
    bench.generator.script = first_fails
    delivery, _ = submitted(bench)
    assert [bench.worker()(delivery) for _ in range(2)] == [Settlement.RETURN, Settlement.ACKNOWLEDGE]
    request = spans.one("POST /v1/tasks")
    first, second = (span for span in spans.all if span.kind is SpanKind.CONSUMER)
    assert {first.parent.span_id, second.parent.span_id} == {request.context.span_id}  # type: ignore[union-attr]
    assert [link.context.span_id for link in second.links] == [first.context.span_id]
    assert first.status.status_code is StatusCode.ERROR
    assert dict(first.attributes or {})["error.type"] == "queued"


def test_attempt_after_rescue_is_its_child_and_links_to_the_request(
    bench: WorkerBench, spans: RecordedSpans
) -> None:
    delivery, _ = submitted(bench)
    with spanned("POST /internal/rescue"):
        again = replace(delivery, attributes=injected({"model": "demo"}))
    bench.worker()(again)
    request, process = spans.one("POST /v1/tasks"), spans.one("process darkroom-tasks-demo")
    assert process.context.trace_id == spans.one("POST /internal/rescue").context.trace_id
    assert [link.context.span_id for link in process.links] == [request.context.span_id]


def test_attempt_metrics_count_useful_and_wasted_seconds(bench: WorkerBench, counted: CountedMetrics) -> None:
    bench.generator.script = first_fails
    delivery = delivery_of(bench.submit())
    for _ in range(2):
        bench.worker()(delivery)
    assert counted.of("darkroom.attempts.finished") == {
        labelled(result="queued", settlement="return", model="demo", error_type="out_of_gpu_memory"): 1,
        labelled(result="completed", settlement="acknowledge", model="demo"): 1,
    }
    assert counted.of("darkroom.gpu.time") == {
        labelled(model="demo", use="wasted"): 2.0,
        labelled(model="demo", use="useful"): 0.5,
    }
    assert counted.of("darkroom.tasks.finished") == {labelled(status="completed", model="demo"): 1}
    assert counted.of("darkroom.queue.duration") == {labelled(model="demo", lane="interactive"): 1}


def test_cancelled_tasks_seconds_are_counted_once(bench: WorkerBench, counted: CountedMetrics) -> None:
    task = bench.submit()

    def cancelled(generation: ScriptedGeneration) -> Iterator[Piece]:
        generation.spend(0, 2.0)
        bench.request_cancel(task)
        raise GenerationInterruptedError("cancelled")

    bench.generator.script = cancelled
    bench.worker()(delivery_of(task))
    assert bench.store.get(task.id).status is TaskStatus.CANCELLED
    assert counted.of("darkroom.gpu.time") == {labelled(model="demo", use="cancelled"): 2.0}


def test_final_state_is_counted_once_per_task(bench: WorkerBench, counted: CountedMetrics) -> None:
    delivery = delivery_of(bench.submit())
    bench.worker()(delivery)
    bench.clock.advance(CLAIM_TTL.total_seconds())
    bench.worker("worker-b")(delivery)
    assert sum(counted.of("darkroom.tasks.finished").values()) == 1
    assert sum(counted.of("darkroom.queue.duration").values()) == 1
    assert sum(counted.of("darkroom.attempts.finished").values()) == 2


@pytest.mark.parametrize(("holder_id", "holder"), [("worker-a", "self"), ("worker-b", "other")])
def test_delivery_of_a_held_task_counts_a_lost_lease(
    bench: WorkerBench, counted: CountedMetrics, holder_id: str, holder: str
) -> None:
    task = bench.submit()
    claimed = bench.claim(task, holder_id)

    def renews() -> None:
        """Renew the claim as a live worker does."""
        assert claimed.claim is not None
        claim = claimed.claim
        bench.clock.advance(6)
        bench.store.update(task.id, lambda t: t.renewed(claim, bench.clock.now(), CLAIM_TTL))

    bench.while_watching = renews
    assert bench.worker("worker-a")(delivery_of(task)) is Settlement.RETURN
    assert counted.of("darkroom.leases.lost") == {labelled(holder=holder): 1}
    assert bench.store.get(task.id).status is TaskStatus.PROCESSING


def test_cost_is_counted_when_a_price_is_set(counted: CountedMetrics) -> None:
    GpuCost(price_per_second=0.5, currency="EUR").count(model="demo", useful=4.0, wasted=1.0)
    GpuCost().count(model="demo", useful=4.0)
    assert counted.of("darkroom.cost") == {
        labelled(model="demo", use="useful", currency="EUR"): 2.0,
        labelled(model="demo", use="wasted", currency="EUR"): 0.5,
    }

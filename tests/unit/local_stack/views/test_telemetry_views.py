"""Metrics and traces as `make metrics` and `make traces` show them."""

from pathlib import Path

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.trace import SpanKind

from local_stack.loopback import free_port
from local_stack.views.metrics import fetch_metrics, format_metrics
from local_stack.views.traces import format_traces, read_spans

SCRAPED = """\
# HELP darkroom_tasks_finished_total Tasks that ended.
# TYPE darkroom_tasks_finished_total counter
darkroom_tasks_finished_total{model="demo",status="completed"} 3.0
# TYPE darkroom_queue_depth gauge
darkroom_queue_depth{model="demo"} 12.0
# TYPE darkroom_step_duration_seconds histogram
darkroom_step_duration_seconds_bucket{le="0.1",model="demo"} 1.0
darkroom_step_duration_seconds_bucket{le="+Inf",model="demo"} 4.0
darkroom_step_duration_seconds_count{model="demo"} 4.0
darkroom_step_duration_seconds_sum{model="demo"} 1.0
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 322.0
"""


def test_format_metrics_shows_darkroom_metrics_and_histogram_means() -> None:
    assert list(format_metrics(SCRAPED)) == [
        "darkroom_tasks_finished{model=demo, status=completed}  3",
        "darkroom_queue_depth{model=demo}  12",
        "darkroom_step_duration_seconds{model=demo}  4 values, mean 0.25",
    ]


def test_fetch_metrics_omits_unreachable_processes() -> None:
    assert fetch_metrics({"api": free_port(), "api-metrics": free_port()}) == {}


def test_format_traces_nests_spans_and_skips_partial_lines(tmp_path: Path) -> None:
    with (tmp_path / "api-1.jsonl").open("w") as file:
        provider = TracerProvider(resource=Resource({"service.name": "darkroom-api"}))
        exporter = ConsoleSpanExporter(out=file, formatter=lambda span: span.to_json(indent=None) + "\n")
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        tracer = provider.get_tracer("test")
        with tracer.start_as_current_span("GET /v1/queue"):
            pass
        with (
            tracer.start_as_current_span("POST /v1/tasks"),
            tracer.start_as_current_span("process tasks", kind=SpanKind.CONSUMER) as span,
        ):
            span.add_event("denoising")
        file.write('{"name": "half a')
    spans = read_spans(tmp_path)
    assert [span.name for span in spans] == ["GET /v1/queue", "POST /v1/tasks", "process tasks"]
    head, *lines = format_traces(spans, count=5)
    assert head.startswith(f"trace {spans[1].trace_id}")
    assert [line.split(" s  ", maxsplit=1)[1] for line in lines] == [
        "darkroom-api: POST /v1/tasks",
        "darkroom-api: process tasks  [denoising]",
    ]
    assert lines[1].startswith("    "), "below its parent"

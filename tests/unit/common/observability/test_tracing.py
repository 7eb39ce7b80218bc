"""The trace context travels with the message."""

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from common.observability.tracing import extracted, injected


def test_trace_context_survives_message_attributes() -> None:
    with TracerProvider().get_tracer("test").start_as_current_span("post") as span:
        attributes = injected({"model": "demo"})
    assert attributes["model"] == "demo"
    carried = trace.get_current_span(extracted(attributes)).get_span_context()
    assert carried.trace_id == span.get_span_context().trace_id


def test_attributes_without_trace_context_yield_none() -> None:
    assert not trace.get_current_span(extracted({"model": "demo"})).get_span_context().is_valid

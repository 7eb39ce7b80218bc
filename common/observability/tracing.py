"""Tracing: one trace from the POST to the acknowledged delivery, carried in the message's attributes (W3C)."""

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()


def configure_tracing(*, process: str, exporter: str = "none") -> None:
    """Give this process a tracer provider; `exporter` is `none` (ids for logs only) or `console`."""
    provider = TracerProvider(resource=Resource.create({"service.name": f"darkroom-{process}"}))
    if exporter == "console":
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    trace.set_tracer_provider(provider)


def tracer() -> trace.Tracer:
    """The project's tracer."""
    return trace.get_tracer("darkroom")


def injected(attributes: Mapping[str, str]) -> dict[str, str]:
    """Message attributes plus the current trace context."""
    carrier = dict(attributes)
    _PROPAGATOR.inject(carrier)
    return carrier


def extracted(attributes: Mapping[str, str]) -> Context:
    """The trace context that message attributes or request headers carry; a new one when they carry none."""
    return _PROPAGATOR.extract(dict(attributes))

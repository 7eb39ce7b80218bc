"""Tracing: one trace from the POST to the acknowledged delivery, carried in the message's attributes (W3C)."""

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()


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

"""Spans, and trace context in headers, message attributes and tasks (W3C traceparent)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes

_PROPAGATOR = TraceContextTextMapPropagator()
_CARRIED = "traceparent"


@contextmanager
def spanned(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: Context | None = None,
    links: Sequence[Link] = (),
    attributes: Attributes = None,
) -> Iterator[Span]:
    """Wrap the block in a current span.

    An error sets the span's status by its type only, since its text may quote a prompt.
    """
    with _tracer(trace.get_tracer_provider()).start_as_current_span(
        name,
        kind=kind,
        context=parent,
        links=links,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield span
        except Exception as error:
            mark_failed(span, error_type_of(error))
            raise


def begun(name: str, *, parent: Context, attributes: Attributes = None) -> Span:
    """Start a span that other code will end; it is not current."""
    return _tracer(trace.get_tracer_provider()).start_span(name, context=parent, attributes=attributes)


def mark_failed(span: Span, error_type: str) -> None:
    """Set the status of the span to failed, with the error's type."""
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR))


def error_type_of(error: BaseException) -> str:
    """Return the error's code, else its class name."""
    return str(getattr(error, "code", None) or type(error).__name__)


def injected(attributes: Mapping[str, str]) -> dict[str, str]:
    """Return the message attributes or headers with the current trace context added."""
    carrier = dict(attributes)
    _PROPAGATOR.inject(carrier)
    return carrier


def extracted(attributes: Mapping[str, str]) -> Context:
    """Return the trace context of message attributes or headers; by default the current one."""
    return _PROPAGATOR.extract(dict(attributes))


def current_traceparent() -> str | None:
    """Return the current span as a traceparent; None outside of any span."""
    return injected({}).get(_CARRIED)


@contextmanager
def carried_on(traceparent: str | None) -> Iterator[None]:
    """Continue the trace of a traceparent inside the block, if there is one."""
    token = attach(extracted({} if traceparent is None else {_CARRIED: traceparent}))
    try:
        yield
    finally:
        detach(token)


def link_to(traceparent: str | None) -> tuple[Link, ...]:
    """Return a link to the span of a traceparent, if there is one."""
    if traceparent is None:
        return ()
    carried = _PROPAGATOR.extract({_CARRIED: traceparent}, context=Context())
    return link_to_span(trace.get_current_span(carried))


def link_to_span(span: Span) -> tuple[Link, ...]:
    """Return a link to a span, if it is valid."""
    context = span.get_span_context()
    return (Link(context),) if context.is_valid else ()


@cache
def _tracer(provider: trace.TracerProvider) -> trace.Tracer:
    """Cached, because a lookup costs as much as a span."""
    return provider.get_tracer("darkroom")

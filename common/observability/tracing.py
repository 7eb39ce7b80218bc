"""Tracing: spans, and how a trace is carried in headers, in a message's attributes and in a task (W3C traceparent)."""

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
    """A span around the block, current inside it. An error marks it by its kind: its text may quote a prompt."""
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
    """A span that somebody else will end; not current."""
    return _tracer(trace.get_tracer_provider()).start_span(name, context=parent, attributes=attributes)


def mark_failed(span: Span, error_type: str) -> None:
    """Say that what the span stands for failed, and as what."""
    span.set_attribute("error.type", error_type)
    span.set_status(Status(StatusCode.ERROR))


def error_type_of(error: BaseException) -> str:
    """The error's own code, else its class."""
    return str(getattr(error, "code", None) or type(error).__name__)


def injected(attributes: Mapping[str, str]) -> dict[str, str]:
    """Message attributes, or headers, plus the current trace context."""
    carrier = dict(attributes)
    _PROPAGATOR.inject(carrier)
    return carrier


def extracted(attributes: Mapping[str, str]) -> Context:
    """The trace context that message attributes or request headers carry; the current one when they carry none."""
    return _PROPAGATOR.extract(dict(attributes))


def current_traceparent() -> str | None:
    """The current span as a task can carry it; None outside of any."""
    return injected({}).get(_CARRIED)


@contextmanager
def carried_on(traceparent: str | None) -> Iterator[None]:
    """Inside, that trace goes on which was carried like this, if one was."""
    token = attach(extracted({} if traceparent is None else {_CARRIED: traceparent}))
    try:
        yield
    finally:
        detach(token)


def link_to(traceparent: str | None) -> tuple[Link, ...]:
    """A link to the span that was carried like this, if one was."""
    if traceparent is None:
        return ()
    carried = _PROPAGATOR.extract({_CARRIED: traceparent}, context=Context())
    return link_to_span(trace.get_current_span(carried))


def link_to_span(span: Span) -> tuple[Link, ...]:
    """A link to a span, unless it is none."""
    context = span.get_span_context()
    return (Link(context),) if context.is_valid else ()


@cache
def _tracer(provider: trace.TracerProvider) -> trace.Tracer:
    """Kept, because looking it up costs as much as a span."""
    return provider.get_tracer("darkroom")

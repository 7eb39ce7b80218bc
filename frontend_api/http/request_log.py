"""One log line per request, and the trace that the request belongs to."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from flask import Flask, Response, g, request
from opentelemetry import trace
from opentelemetry.trace import SpanKind

from common.observability.metrics import HTTP_REQUEST_SECONDS, histogram
from common.observability.tracing import extracted, mark_failed, spanned

HEALTH_PATHS = frozenset(("/healthz", "/readyz"))
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_request_seconds = histogram(HTTP_REQUEST_SECONDS)
_log = structlog.get_logger(__name__)
_WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def trace_requests(app: Flask) -> None:
    """Run every request in a span, within the caller's trace if it sent a `traceparent`."""
    inner: _WsgiApp = app.wsgi_app

    def traced(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        carried = {"traceparent": environ.get("HTTP_TRACEPARENT", "")}
        method = _known(environ.get("REQUEST_METHOD", ""))
        with spanned(method, kind=SpanKind.SERVER, parent=extracted(carried)) as span:
            span.set_attribute("http.request.method", method)
            return inner(environ, start_response)

    app.wsgi_app = traced  # type: ignore[method-assign]


def log_requests(app: Flask) -> None:
    """Log `request_finished` once per request: ids, status, duration; no body, query or prompt."""

    @app.before_request
    def start_timing() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def log_finished(answer: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else None
        seconds = time.perf_counter() - g.started
        _annotate_span(route, answer.status_code)
        _count(route, answer.status_code, seconds)
        if (trace_id := current_trace_id()) is not None:
            answer.headers["X-Trace-Id"] = trace_id
        if request.path in HEALTH_PATHS and answer.status_code < 400:
            return answer
        _log.info(
            "request_finished",
            method=request.method,
            route=route,
            status=answer.status_code,
            duration_ms=round(seconds * 1_000, 1),
            user_id=g.get("user_id"),
            api_key_id=g.get("api_key_id"),
            task_id=g.get("task_id"),
        )
        return answer


def _annotate_span(route: str | None, status: int) -> None:
    span = trace.get_current_span()
    if not span.is_recording():
        return
    span.update_name(f"{_known(request.method)} {route or 'unknown'}")
    attributes = {
        "http.route": route,
        "http.response.status_code": status,
        "darkroom.task_id": g.get("task_id"),
    }
    span.set_attributes({name: value for name, value in attributes.items() if value is not None})
    if status >= 500:
        mark_failed(span, str(status))


def _count(route: str | None, status: int, seconds: float) -> None:
    attributes: dict[str, str | int] = {
        "http.request.method": _known(request.method),
        "http.response.status_code": status,
    }
    _request_seconds.record(seconds, attributes if route is None else attributes | {"http.route": route})


def _known(method: str) -> str:
    """Return the method; unknown methods become `_OTHER`, as the semantic conventions require."""
    return method if method in _METHODS else "_OTHER"


def log_task_id(task_id: str) -> None:
    """Add the task's id to the request's log line."""
    g.task_id = task_id


def current_trace_id() -> str | None:
    """Return the trace id of the request, as 32 hex digits."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None

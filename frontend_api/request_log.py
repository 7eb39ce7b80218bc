"""One canonical line per request, and the trace that it belongs to."""

import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from flask import Flask, Response, g, request
from opentelemetry import trace

from common.observability import tracing

_QUIET_PATHS = frozenset(("/healthz", "/readyz"))
_log = structlog.get_logger(__name__)
_WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def trace_requests(app: Flask) -> None:
    """Put every request into a span, in the caller's trace when it sent a `traceparent`."""
    inner: _WsgiApp = app.wsgi_app

    def traced(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        carried = {"traceparent": environ.get("HTTP_TRACEPARENT", "")}
        context = tracing.extracted(carried)
        with tracing.tracer().start_as_current_span(environ.get("REQUEST_METHOD", "?"), context=context):
            return inner(environ, start_response)

    app.wsgi_app = traced  # type: ignore[method-assign]


def log_requests(app: Flask) -> None:
    """Log `request_finished` once per request: ids, status and duration; never a body, a query or a prompt."""

    @app.before_request
    def start_timing() -> None:
        g.started = time.perf_counter()

    @app.after_request
    def log_finished(answer: Response) -> Response:
        route = request.url_rule.rule if request.url_rule else None
        span = trace.get_current_span()
        span.update_name(f"{request.method} {route or 'unknown'}")
        span.set_attribute("http.response.status_code", answer.status_code)
        if (trace_id := current_trace_id()) is not None:
            answer.headers["X-Trace-Id"] = trace_id
        if request.path in _QUIET_PATHS and answer.status_code < 400:
            return answer
        _log.info(
            "request_finished",
            method=request.method,
            route=route,
            status=answer.status_code,
            duration_ms=round((time.perf_counter() - g.started) * 1_000, 1),
            user_id=g.get("user_id"),
            api_key_id=g.get("api_key_id"),
            task_id=g.get("task_id"),
        )
        return answer


def note_task(task_id: str) -> None:
    """Have the request's line name the task that it was about."""
    g.task_id = task_id


def current_trace_id() -> str | None:
    """The trace that the request belongs to, as 32 hex digits."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else None

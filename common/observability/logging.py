"""Structured logging: static event names in the past tense, ids, no prompts, no secrets."""

import logging
import sys
from typing import Any

import structlog
from opentelemetry import trace

_SEVERITIES = {"warn": "WARNING", "exception": "ERROR"}


def configure_logging(
    *, process: str, level: str = "INFO", log_format: str = "json", project_id: str | None = None
) -> None:
    """Write all log lines of this process, including those of libraries, to standard output.

    `json` lines have the fields of Cloud Logging (severity, message, time); `console` is for
    people. A line that was written inside a span names its trace; with the `project_id` of a real
    project, Cloud Logging links the two.
    """
    for_machines = log_format == "json"
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
        _traced(project_id),
        # A processor, not a bound variable: gunicorn's and the clients' threads do not inherit
        # those.
        _naming(process),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    # Neither format shows the frames' locals, which may contain a prompt or a token.
    ending: list[Any] = (
        [
            structlog.processors.ExceptionRenderer(
                structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
            ),
            _as_cloud_logging,
            structlog.processors.JSONRenderer(),
        ]
        if for_machines
        else [
            structlog.dev.ConsoleRenderer(
                colors=sys.stdout.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *ending],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # Log the INFO lines of verbose libraries at DEBUG.
    for name in ("google", "urllib3", "httpx", "grpc", "gunicorn.access"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))


def _naming(process: str) -> structlog.types.Processor:
    def named(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        event.setdefault("process", process)
        return event

    return named


def _traced(project_id: str | None) -> structlog.types.Processor:
    def traced(_logger: object, _method: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        context = trace.get_current_span().get_span_context()
        if not context.is_valid:
            return event
        trace_id, span_id = trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id)
        if project_id is None:
            event.update({"trace_id": trace_id, "span_id": span_id})
            return event
        event["logging.googleapis.com/trace"] = f"projects/{project_id}/traces/{trace_id}"
        event["logging.googleapis.com/spanId"] = span_id
        event["logging.googleapis.com/trace_sampled"] = context.trace_flags.sampled
        return event

    return traced


def _as_cloud_logging(
    _logger: object, _method: str, event: structlog.types.EventDict
) -> structlog.types.EventDict:
    level = str(event.pop("level", "info"))
    event["severity"] = _SEVERITIES.get(level, level.upper())
    event["message"] = event.pop("event", "")
    return event

"""Exporters of spans and metrics: none, terminal, file, OTLP, Google Cloud, Prometheus.

The vendors' exporters are imported only if they are chosen, so that a process that exports nothing
does not load them. docs/adr/0015 explains why Google Cloud is reached by OTLP.
"""

# ruff: noqa: PLC0415

import os
from typing import TYPE_CHECKING

import structlog
from opentelemetry.sdk.metrics.export import MetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, Sampler

from common.observability.origin import Origin
from common.settings import SettingsError, SharedSettings

if TYPE_CHECKING:
    from google.auth.transport.requests import AuthorizedSession

GOOGLE_TRACES = "https://telemetry.googleapis.com/v1/traces"
GOOGLE_METRICS = "https://telemetry.googleapis.com/v1/metrics"
_log = structlog.get_logger(__name__)
_GOOGLE_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


def span_processor(settings: SharedSettings, origin: Origin) -> SpanProcessor | None:
    """Return the processor of finished spans; None if spans are not exported."""
    match chosen := _decided(settings.trace_exporter, settings, origin):
        case "console":
            return SimpleSpanProcessor(ConsoleSpanExporter())
        case "file":
            return _to_file(settings, origin)
        case "otlp" | "google":
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

            if chosen == "otlp":
                return BatchSpanProcessor(OTLPSpanExporter())
            return BatchSpanProcessor(OTLPSpanExporter(GOOGLE_TRACES, session=_google_session()))
        case _:
            return None


def metric_reader(settings: SharedSettings, origin: Origin) -> MetricReader | None:
    """Return the reader of the metrics; None if metrics are not exported."""
    match chosen := _decided(settings.metric_exporter, settings, origin):
        case "prometheus":
            return _for_prometheus(settings)
        case "otlp" | "google":
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

            if chosen == "otlp":
                return PeriodicExportingMetricReader(OTLPMetricExporter())
            exporter = OTLPMetricExporter(GOOGLE_METRICS, session=_google_session())
            return PeriodicExportingMetricReader(exporter)
        case _:
            return None


def sampler() -> Sampler | None:
    """Sample every span unless OTEL_TRACES_SAMPLER is set; None leaves the choice to that.

    The caller's flag is ignored: Cloud Run's front end sets it on one request in ten seconds, and
    most tasks would have no trace.
    """
    return None if os.environ.get("OTEL_TRACES_SAMPLER") else ALWAYS_ON


def _decided(chosen: str, settings: SharedSettings, origin: Origin) -> str:
    if chosen != "auto":
        return chosen
    if settings.otlp_endpoint:
        return "otlp"
    return "google" if origin.is_on_google_cloud else "none"


def _to_file(settings: SharedSettings, origin: Origin) -> SpanProcessor:
    name = f"{origin.process}-{os.getpid()}.jsonl"
    try:
        settings.trace_folder.mkdir(parents=True, exist_ok=True)
        file = (settings.trace_folder / name).open("a", encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"DARKROOM_TRACE_FOLDER: {settings.trace_folder} cannot be written") from error
    # Written immediately, so that the spans before a SIGKILL are not lost.
    return SimpleSpanProcessor(
        ConsoleSpanExporter(out=file, formatter=lambda span: span.to_json(indent=None) + "\n")
    )


def _for_prometheus(settings: SharedSettings) -> MetricReader | None:
    """Return None if the port is in use, for example by a process that is shutting down.

    Missing metrics do not stop the process.
    """
    from opentelemetry.exporter.prometheus import PrometheusMetricReader
    from prometheus_client import start_http_server

    host, port = settings.prometheus_host, settings.prometheus_port
    try:
        start_http_server(port, addr=host)
    except OSError as error:
        _log.warning("metrics_not_served", host=host, port=port, reason=error.strerror)
        return None
    return PrometheusMetricReader(scope_info_enabled=False)


def _google_session() -> "AuthorizedSession":
    """Return a session that authenticates with the machine's identity."""
    import google.auth
    from google.auth.transport.requests import AuthorizedSession

    credentials, _project = google.auth.default(scopes=[_GOOGLE_SCOPE])
    return AuthorizedSession(credentials)  # type: ignore[no-untyped-call]

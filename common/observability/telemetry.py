"""Setup and flush of the logs, traces and metrics of a process."""

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from common.observability.exporters import metric_reader, sampler, span_processor
from common.observability.logging import configure_logging
from common.observability.origin import origin_of
from common.settings import SharedSettings


def configure_telemetry(settings: SharedSettings, *, process: str, instance_id: str) -> None:
    """Configure logging, tracing and metrics by the settings. Raises SettingsError.

    Call it after any fork: exporters have threads. Without an exporter, spans are not recorded but
    have ids for the logs, and metrics are dropped.
    """
    configure_logging(
        process=process,
        level=settings.log_level,
        log_format=settings.log_format,
        project_id=None if settings.uses_emulators else settings.project_id,
    )
    origin = origin_of(settings, process=process, instance_id=instance_id)
    processor = span_processor(settings, origin)
    reader = metric_reader(settings, origin)
    traces = TracerProvider(resource=origin.resource, sampler=ALWAYS_OFF if processor is None else sampler())
    if processor is not None:
        traces.add_span_processor(processor)
    trace.set_tracer_provider(traces)
    if reader is not None:
        metrics.set_meter_provider(MeterProvider(resource=origin.resource, metric_readers=[reader]))


def hand_over_telemetry(*, within_seconds: float) -> None:
    """Flush spans and metrics, for a process that ends without running its exit handlers."""
    milliseconds = int(within_seconds * 1_000)
    for provider in (trace.get_tracer_provider(), metrics.get_meter_provider()):
        if isinstance(provider, TracerProvider | MeterProvider):
            provider.force_flush(milliseconds)

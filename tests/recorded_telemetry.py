"""Spans and metrics as a test may look at them: everything is recorded in memory while a test asks for it."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from opentelemetry import metrics, trace
from opentelemetry.context import Context
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from common.observability.exporters import sampler

Point = NumberDataPoint | HistogramDataPoint
_reader = InMemoryMetricReader()
_provided: list[MeterProvider] = []


class _Begun(SpanProcessor):
    """The names of those that began, and a way to wait for what happens to spans."""

    def __init__(self) -> None:
        self.names: Counter[str] = Counter()
        self.changed = threading.Condition()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        with self.changed:
            self.names[span.name] += 1
            self.changed.notify_all()

    def on_end(self, span: ReadableSpan) -> None:
        with self.changed:
            self.changed.notify_all()


class RecordedSpans:
    """Those that ended since the test began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._exporter = InMemorySpanExporter()
        self._begun = _Begun()
        provider = TracerProvider(sampler=sampler())
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        provider.add_span_processor(self._begun)
        # The global provider can be set once in a process; whoever asks for a tracer meanwhile is given this one's.
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        """In the order in which they ended."""
        return self._exporter.get_finished_spans()

    @property
    def begun(self) -> Counter[str]:
        """How many of each name began, whether or not they ended."""
        return self._begun.names

    def wait_until(self, is_so: Callable[[], bool], *, timeout_seconds: float) -> bool:
        """Whether it is so in time; looks whenever a span begins or ends."""
        with self._begun.changed:
            return self._begun.changed.wait_for(is_so, timeout_seconds)

    def one(self, name: str) -> ReadableSpan:
        """The only one of this name."""
        (span,) = (span for span in self.all if span.name == name)
        return span


class CountedMetrics:
    """What instruments counted since this was made: their global provider is one for all tests of a process."""

    def __init__(self) -> None:
        if not _provided:
            _provided.append(MeterProvider(metric_readers=[_reader]))
            metrics.set_meter_provider(_provided[0])
        self._before = _totals()

    def of(self, name: str) -> dict[frozenset[tuple[str, Any]], float]:
        """How much a counter rose, or how many values a histogram took, by attributes; what did not is left out."""
        now = _totals().get(name, {})
        before = self._before.get(name, {})
        risen = {key: value - before.get(key, 0) for key, value in now.items()}
        return {key: value for key, value in risen.items() if value}


def labelled(**attributes: Any) -> frozenset[tuple[str, Any]]:
    """Attributes as `CountedMetrics.of` has them; `error_type` stands for `error.type`."""
    return frozenset((name.replace("error_type", "error.type"), value) for name, value in attributes.items())


def _totals() -> Mapping[str, Mapping[frozenset[tuple[str, Any]], float]]:
    found = _reader.get_metrics_data()
    return {
        metric.name: {
            frozenset((point.attributes or {}).items()): _total(point) for point in metric.data.data_points
        }
        for resource in (found.resource_metrics if found else ())
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }


def _total(point: Any) -> float:
    return float(point.count if isinstance(point, HistogramDataPoint) else point.value)

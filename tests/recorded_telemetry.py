"""Spans and metrics recorded in memory, for tests that check them."""

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
_provider = MeterProvider(metric_readers=[_reader])
# A process accepts one provider only. This module is imported while tests are collected, so no test
# can set another one before.
metrics.set_meter_provider(_provider)


class _Begun(SpanProcessor):
    """The names of started spans, and a way to wait for changes."""

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
    """The spans that have ended since the test began."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._exporter = InMemorySpanExporter()
        self._begun = _Begun()
        provider = TracerProvider(sampler=sampler())
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        provider.add_span_processor(self._begun)
        # The global provider can be set only once per process, so the test replaces the lookup.
        monkeypatch.setattr(trace, "get_tracer_provider", lambda: provider)

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        """In the order in which they ended."""
        return self._exporter.get_finished_spans()

    @property
    def begun(self) -> Counter[str]:
        """Return the number of started spans by name, whether ended or not."""
        return self._begun.names

    def wait_until(self, is_so: Callable[[], bool], *, timeout_seconds: float) -> bool:
        """Check the condition whenever a span starts or ends. Return whether it held in time."""
        with self._begun.changed:
            return self._begun.changed.wait_for(is_so, timeout_seconds)

    def one(self, name: str) -> ReadableSpan:
        """Return the only span with this name."""
        (span,) = (span for span in self.all if span.name == name)
        return span


class CountedMetrics:
    """The changes of metrics since this object was created, because all tests of a process share
    one global provider.
    """

    def __init__(self) -> None:
        if metrics.get_meter_provider() is not _provider:
            raise RuntimeError("Another meter provider was set first, so no metrics can be counted here.")
        self._before = _totals()

    def of(self, name: str) -> dict[frozenset[tuple[str, Any]], float]:
        """Return a counter's increase, or the number of a histogram's values, by attributes;
        unchanged ones are omitted.
        """
        now = _totals().get(name, {})
        before = self._before.get(name, {})
        risen = {key: value - before.get(key, 0) for key, value in now.items()}
        return {key: value for key, value in risen.items() if value}


def labelled(**attributes: Any) -> frozenset[tuple[str, Any]]:
    """Return attributes in the format of `CountedMetrics.of`; `error_type` means `error.type`."""
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

"""Spans of Google's Pub/Sub client per delivery, with workarounds for bugs of version 2.44.

A delivery that the client holds back has no `process` span yet. Returning it fails an assertion in
the thread that closes the stream, which then never ends. Each `process` span is ended twice, and
the SDK logs a warning each time.
"""

from typing import TypeGuard

from google.cloud.pubsub_v1.open_telemetry.subscribe_opentelemetry import SubscribeOpenTelemetry
from google.cloud.pubsub_v1.subscriber._protocol import streaming_pull_manager
from opentelemetry.trace import Span


class DeliverySpans(SubscribeOpenTelemetry):  # type: ignore[misc]  # it has no types
    """The spans of one delivery.

    Operations on spans that have not begun or have ended are ignored; no child outlives its parent.
    """

    def add_process_span_event(self, event: str) -> None:
        if _is_open(self._process_span):
            super().add_process_span_event(event)

    def end_process_span(self) -> None:
        if _is_open(self._process_span):
            super().end_process_span()

    def add_subscribe_span_event(self, event: str) -> None:
        """Add the event if the span is open: a lease may be extended during the acknowledgement."""
        if _is_open(self._subscribe_span):
            super().add_subscribe_span_event(event)

    def end_subscribe_span(self) -> None:
        """End the span; a delivery that is returned unprocessed was still held back."""
        for part in (self._scheduler_span, self._concurrency_control_span):
            if _is_open(part):
                part.end()
        if _is_open(self._subscribe_span):
            super().end_subscribe_span()


def mend_client_spans() -> None:
    """Replace the span class in the client, which has no option for it."""
    streaming_pull_manager.SubscribeOpenTelemetry = DeliverySpans


def _is_open(span: Span | None) -> TypeGuard[Span]:
    return span is not None and span.is_recording()

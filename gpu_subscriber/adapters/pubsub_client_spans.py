"""DeliverySpans: the spans that Google's client makes of each delivery, mended where version 2.44 trips over them.

A delivery that it holds back has no `process` yet: giving it back fails an assertion, in the thread that closes the
stream, which then never ends. Each `process` is ended twice, and the SDK complains each time.
"""

from typing import TypeGuard

from google.cloud.pubsub_v1.open_telemetry.subscribe_opentelemetry import SubscribeOpenTelemetry
from google.cloud.pubsub_v1.subscriber._protocol import streaming_pull_manager
from opentelemetry.trace import Span


class DeliverySpans(SubscribeOpenTelemetry):  # type: ignore[misc]  # it has no types
    """Those of one delivery. What has not begun, or has ended, is left alone; no part outlives the whole."""

    def add_process_span_event(self, event: str) -> None:
        """See SubscribeOpenTelemetry."""
        if _is_open(self._process_span):
            super().add_process_span_event(event)

    def end_process_span(self) -> None:
        """See SubscribeOpenTelemetry."""
        if _is_open(self._process_span):
            super().end_process_span()

    def add_subscribe_span_event(self, event: str) -> None:
        """See SubscribeOpenTelemetry. A lease may be extended while its delivery is being acknowledged."""
        if _is_open(self._subscribe_span):
            super().add_subscribe_span_event(event)

    def end_subscribe_span(self) -> None:
        """See SubscribeOpenTelemetry. A delivery that is given back unprocessed was still being held."""
        for part in (self._scheduler_span, self._concurrency_control_span):
            if _is_open(part):
                part.end()
        if _is_open(self._subscribe_span):
            super().end_subscribe_span()


def mend_client_spans() -> None:
    """Have every client of this process make DeliverySpans. It offers no other way in."""
    streaming_pull_manager.SubscribeOpenTelemetry = DeliverySpans


def _is_open(span: Span | None) -> TypeGuard[Span]:
    return span is not None and span.is_recording()

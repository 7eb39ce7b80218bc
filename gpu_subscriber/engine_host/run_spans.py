"""One span per run of a task, with an event per phase; none per step."""

from opentelemetry import context
from opentelemetry.trace import Span

from common.domain.task import Phase
from common.observability.tracing import begun, mark_failed
from gpu_subscriber.engine.messages import ImageReady, RunFailed, RunInterrupted

LastReport = ImageReady | RunInterrupted | RunFailed


class RunSpans:
    """The spans of one task, in the trace that is current at creation. Thread-safe."""

    def __init__(self) -> None:
        self._parent = context.get_current()
        self._spans: dict[int, Span] = {}

    def begin(self, index: int, *, resumes: bool) -> None:
        """Start a span when the run of image `index` is sent to the engine, the first or another."""
        span = self._spans.get(index)
        if span is not None:
            span.add_event("begun_again")
            return
        self._spans[index] = begun(
            "draw image",
            parent=self._parent,
            attributes={"darkroom.image.index": index, "darkroom.image.resumes": resumes},
        )

    def entered(self, index: int, phase: Phase) -> None:
        """Add an event for a phase."""
        span = self._spans.get(index)
        if span is not None:
            span.add_event(phase.value)

    def ended(self, index: int, report: LastReport) -> None:
        """End the span with the last report of the engine."""
        span = self._spans.pop(index, None)
        if span is None:
            return
        span.set_attribute("darkroom.gpu_seconds", round(report.gpu_seconds, 4))
        match report:
            case ImageReady():
                span.set_attribute("darkroom.image.resumed_at_step", report.resumed_at_step)
            case RunInterrupted():
                span.add_event("interrupted", {"darkroom.step": report.step})
            case RunFailed():
                mark_failed(span, report.failure.code)
        span.end()

    def close(self) -> None:
        """End all open spans."""
        while self._spans:
            _, span = self._spans.popitem()
            mark_failed(span, "abandoned")
            span.end()

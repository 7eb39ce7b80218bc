"""RunSpans: one span for each Run of a task, with an event for each phase it enters. Never one per step."""

from opentelemetry import context
from opentelemetry.trace import Span

from common.domain.task import Phase
from common.observability.tracing import begun, mark_failed
from gpu_subscriber.engine.messages import ImageReady, RunFailed, RunInterrupted

LastReport = ImageReady | RunInterrupted | RunFailed


class RunSpans:
    """Of one task, in the trace that is current where this is made. From any thread."""

    def __init__(self) -> None:
        self._parent = context.get_current()
        self._spans: dict[int, Span] = {}

    def begin(self, index: int, *, resumes: bool) -> None:
        """The Run of image `index` is handed to the engine; again, after an engine has died with it."""
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
        """It entered another phase."""
        span = self._spans.get(index)
        if span is not None:
            span.add_event(phase.value)

    def ended(self, index: int, report: LastReport) -> None:
        """The engine has said its last word of it."""
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
        """Nobody waits for what is left."""
        while self._spans:
            _, span = self._spans.popitem()
            mark_failed(span, "abandoned")
            span.end()

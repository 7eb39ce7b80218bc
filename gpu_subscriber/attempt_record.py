"""AttemptRecord: what one delivery came to, told once at its end: one log line, one span, two metrics."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from common.domain.task import Task
from common.observability.metrics import (
    ATTEMPT_SECONDS,
    ATTEMPTS_FINISHED,
    QUEUE_SECONDS,
    counter,
    histogram,
)
from common.observability.tracing import extracted, tracer
from common.ports import Clock
from gpu_subscriber.ports import Delivery, Settlement

_log = structlog.get_logger(__name__)
_attempts_finished = counter(ATTEMPTS_FINISHED)
_attempt_seconds = histogram(ATTEMPT_SECONDS)
_queue_seconds = histogram(QUEUE_SECONDS)


@dataclass(slots=True, kw_only=True)
class AttemptRecord:
    """Filled while a delivery is processed. Never holds a prompt."""

    clock: Clock
    began_at: datetime
    result: str = "crashed"
    """The status the task was left in, or the code of what kept the worker from it."""
    settlement: Settlement = Settlement.RETURN
    fields: dict[str, str | int | float] = field(default_factory=dict)

    def decoded(self, task_id: str) -> None:
        """Note whose delivery this is."""
        self.fields["task_id"] = task_id

    def claimed(self, task: Task) -> None:
        """Note whose attempt this is."""
        self.fields |= {
            "model": task.parameters.model,
            "lane": task.lane.value,
            "attempt": task.attempt,
            "claim_seconds": self.seconds(),
        }
        if task.attempt == 1:
            self.fields["queue_seconds"] = round((self.clock.now() - task.created_at).total_seconds(), 4)

    def drawn(self, *, gpu_seconds: float) -> None:
        """Note what the drawing cost, images and uploads included."""
        self.fields |= {"gpu_seconds": round(gpu_seconds, 4), "drawn_seconds": self.seconds()}

    def ended(self, task: Task) -> None:
        """Note how the task was left."""
        self.result = task.status.value
        self.fields |= {"attempts_left": task.attempts_left, "images": len(task.images)}
        if task.failure is not None:
            self.fields["failure_code"] = task.failure.code

    def seconds(self) -> float:
        """Since the delivery arrived."""
        return round((self.clock.now() - self.began_at).total_seconds(), 4)


@contextmanager
def recorded_attempt(delivery: Delivery, clock: Clock) -> Iterator[AttemptRecord]:
    """Continue the trace that the message carries, and tell at the end what became of it."""
    record = AttemptRecord(clock=clock, began_at=clock.now())
    with tracer().start_as_current_span("process_task", context=extracted(delivery.attributes)) as span:
        try:
            yield record
        finally:
            _tell(delivery, record)
            span.set_attributes({f"darkroom.{name}": value for name, value in record.fields.items()})


def _tell(delivery: Delivery, record: AttemptRecord) -> None:
    _log.info(
        "attempt_finished",
        message_id=delivery.message_id,
        delivery_attempt=delivery.delivery_attempt,
        result=record.result,
        settlement=record.settlement.value,
        seconds=record.seconds(),
        **record.fields,
    )
    _attempts_finished.add(1, {"result": record.result, "settlement": record.settlement.value})
    _attempt_seconds.record(record.seconds(), {"result": record.result})
    if "queue_seconds" in record.fields:
        _queue_seconds.record(float(record.fields["queue_seconds"]))

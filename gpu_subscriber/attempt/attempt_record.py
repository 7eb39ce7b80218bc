"""The record of one delivery: one log line, one span and the metrics at its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from opentelemetry.trace import Span

from common.domain.task import Claim, RunSeconds, Task, TaskStatus
from common.observability.gpu_cost import GpuCost
from common.observability.messaging import processing
from common.observability.metrics import (
    ATTEMPT_SECONDS,
    ATTEMPTS_FINISHED,
    LEASES_LOST,
    QUEUE_SECONDS,
    TASK_SECONDS,
    TASKS_FINISHED,
    counter,
    histogram,
)
from common.observability.tracing import link_to
from common.ports import Clock
from gpu_subscriber.ports import Delivery, Settlement

_log = structlog.get_logger(__name__)
_attempts_finished = counter(ATTEMPTS_FINISHED)
_attempt_seconds = histogram(ATTEMPT_SECONDS)
_queue_seconds = histogram(QUEUE_SECONDS)
_tasks_finished = counter(TASKS_FINISHED)
_task_seconds = histogram(TASK_SECONDS)
_leases_lost = counter(LEASES_LOST)


@dataclass(slots=True, kw_only=True)
class AttemptRecord:
    """Filled while a delivery is processed. Never contains a prompt."""

    clock: Clock
    gpu_cost: GpuCost
    began_at: datetime
    span: Span
    result: str = "crashed"
    """The task's resulting status, or the code of the error that prevented processing."""
    settlement: Settlement = Settlement.RETURN
    fields: dict[str, str | int | float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    """Attributes of the metrics, once known: the model, and the failure code."""
    attempt_of: Task | None = None
    """The task as this worker claimed it; None before or without a claim."""
    left_as: Task | None = None
    gpu_seconds: float = 0.0

    def decoded(self, task_id: str) -> None:
        """Record the task of the delivery."""
        self.fields["task_id"] = task_id

    def claimed(self, task: Task, *, before: Task) -> None:
        """Record the claimed task and link its span to the preceding ones."""
        self.gpu_cost.count_settled(before, task)
        self.fields |= {
            "model": task.parameters.model,
            "lane": task.lane.value,
            "attempt": task.attempt,
            "claim_seconds": self.seconds(),
        }
        self.labels["model"] = task.parameters.model
        if task.claim is None:
            return
        self.attempt_of = task
        self._link(task)
        if task.attempt == 1:
            self.fields["queue_seconds"] = round((self.clock.now() - task.created_at).total_seconds(), 4)

    def generated(self, runs: tuple[RunSeconds, ...]) -> None:
        """Record the cost of the generation, images and uploads included."""
        self.gpu_seconds = sum((run.gpu_seconds for run in runs), 0.0)
        self.fields |= {"gpu_seconds": round(self.gpu_seconds, 4), "drawn_seconds": self.seconds()}

    def lost(self, *, reported_seconds: float) -> None:
        """Count the unreported seconds of an attempt whose end cannot be stored as wasted.

        A later attempt settles the seconds that were reported before.
        """
        if self.attempt_of is not None:
            lost = max(0.0, self.gpu_seconds - reported_seconds)
            self.gpu_cost.count(model=self.attempt_of.parameters.model, wasted=lost)

    def ended(self, task: Task) -> None:
        """Record the task at the end of the attempt."""
        if self.attempt_of is not None:
            self.gpu_cost.count_settled(self.attempt_of, task)
        self.result, self.left_as = task.status.value, task
        self.fields |= {"attempts_left": task.attempts_left, "images": len(task.images)}
        if task.failure is not None:
            self.fields["failure_code"] = self.labels["error.type"] = task.failure.code
        if task.finished_at is not None and task.finished_at >= self.began_at:
            self._count_ending(task, task.finished_at)

    def claim_is_held(self, claim: Claim, *, worker_id: str) -> None:
        """Record that a live worker holds the task."""
        _leases_lost.add(1, {"holder": "self" if claim.worker_id == worker_id else "other"})

    def seconds(self) -> float:
        """Return the seconds since the delivery arrived."""
        return round((self.clock.now() - self.began_at).total_seconds(), 4)

    def finish(self) -> None:
        """Count the delivery and set the attributes of its span."""
        if self.attempt_of is not None:
            self._count_attempt(self.attempt_of)
        _attempts_finished.add(1, {"result": self.result, "settlement": self.settlement.value, **self.labels})
        self.span.set_attributes({f"darkroom.{name}": value for name, value in self.fields.items()})

    def _link(self, task: Task) -> None:
        """Link to the previous attempt; without one, to the submitting request.

        The latter link is omitted if both have the same trace.
        """
        follows = task.history[-1].traceparent if task.history else task.traceparent
        own = self.span.get_span_context().trace_id
        for link in link_to(follows):
            if task.history or link.context.trace_id != own:
                self.span.add_link(link.context)

    def _count_ending(self, task: Task, at: datetime) -> None:
        _tasks_finished.add(1, {"status": task.status.value, **self.labels})
        if task.status is TaskStatus.COMPLETED:
            attributes = {"model": task.parameters.model, "lane": task.lane.value}
            _task_seconds.record((at - task.created_at).total_seconds(), attributes)

    def _count_attempt(self, claimed: Task) -> None:
        model = claimed.parameters.model
        _attempt_seconds.record(self.seconds(), {"model": model, "result": self.result})
        if "queue_seconds" in self.fields:
            waited = float(self.fields["queue_seconds"])
            _queue_seconds.record(waited, {"model": model, "lane": claimed.lane.value})


@contextmanager
def recorded_attempt(delivery: Delivery, clock: Clock, gpu_cost: GpuCost) -> Iterator[AttemptRecord]:
    """Continue the message's trace, and write the record at the end."""
    with processing(
        delivery.subscription,
        message_id=delivery.message_id,
        attributes=delivery.attributes,
        delivery_attempt=delivery.delivery_attempt,
    ) as work:
        record = AttemptRecord(clock=clock, gpu_cost=gpu_cost, began_at=clock.now(), span=work.span)
        try:
            yield record
        finally:
            if record.settlement is Settlement.RETURN:
                work.returned_because = record.result
            record.finish()
            _log.info(
                "attempt_finished",
                message_id=delivery.message_id,
                delivery_attempt=delivery.delivery_attempt,
                result=record.result,
                settlement=record.settlement.value,
                seconds=record.seconds(),
                **record.fields,
            )

"""Metrics of the engine process, recorded in the parent: the child has no exporter."""

from common.observability.metrics import (
    BATCH_SIZE,
    ENGINE_BUSY,
    ENGINES_ENDED,
    STEP_SECONDS,
    counter,
    histogram,
)
from gpu_subscriber.engine.messages import EngineMeasured
from gpu_subscriber.engine_host.exit import EngineExit

_step_seconds = histogram(STEP_SECONDS)
_batch_size = histogram(BATCH_SIZE)
_busy = counter(ENGINE_BUSY)
_ended = counter(ENGINES_ENDED)


def count_work(measured: EngineMeasured) -> None:
    """Count the executed steps, and the time in and between them."""
    for step in measured.steps:
        attributes = {"model": step.model}
        _step_seconds.record(step.seconds, attributes)
        _batch_size.record(step.batch, attributes)
    _busy.add(measured.busy_seconds)


def count_end(end: EngineExit) -> None:
    """Count an engine that ended unexpectedly."""
    _ended.add(1, {"cause": end.cause.value})

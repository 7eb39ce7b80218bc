"""Gauges of the worker: whether it accepts deliveries, and how many tasks it holds."""

from collections.abc import Callable

from common.observability.metrics import WORKER_READY, WORKER_TASKS, gauge
from gpu_subscriber.worker.worker import WorkerState


def register_worker_gauges(state: Callable[[], WorkerState], *, subscription: str) -> None:
    """Register gauges that show `state` at each collection."""
    gauge(WORKER_READY, lambda: {(subscription,): int(state().ready)})
    gauge(WORKER_TASKS, lambda: {(): state().active_tasks})

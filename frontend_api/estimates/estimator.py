"""Predict a task's GPU time, queue position and finish time, from a cached workload."""

import threading
from collections.abc import Iterable, MutableMapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from cachetools import LRUCache

from common.domain.errors import DependencyUnavailableError
from common.domain.parameters import GenerationParameters
from common.domain.task import Lane, Phase, Task, TaskStatus
from common.domain.worker_report import WorkerReport
from common.ports import Clock
from frontend_api.estimates.calibration import Calibration
from frontend_api.estimates.estimate import (
    NO_ESTIMATE,
    DrawTime,
    Estimate,
    QueuePosition,
    draw_time_of,
    position_behind,
    position_of_newest,
    predicted_seconds,
    predicted_seconds_left,
)
from frontend_api.estimates.workload import Workload
from frontend_api.estimates.workload_cache import WorkloadCache
from frontend_api.stats.ports import TaskStats

_POSITION_TTL = timedelta(seconds=1)
_MAX_POSITIONS = 2_000
"""The position of a task that was evicted is counted again on the next request."""


class TaskEstimator:
    """Predicts tasks. Safe to share between threads.

    Only `estimate` raises an error when no prediction is possible; the other methods return less.
    """

    def __init__(self, *, workload_cache: WorkloadCache, stats: TaskStats, clock: Clock) -> None:
        self._workload_cache = workload_cache
        self._stats = stats
        self._clock = clock
        self._lock = threading.Lock()
        self._positions: MutableMapping[tuple[str, datetime], QueuePosition] = LRUCache(_MAX_POSITIONS)
        """By id and the time it was queued: a retried task has another position."""
        self._calibrated: tuple[tuple[WorkerReport, ...], Calibration] = ((), Calibration.of(()))

    def estimate(self, parameters: GenerationParameters, lane: Lane) -> Estimate:
        """Predict a task submitted now. Raises DependencyUnavailableError."""
        workload = self._workload_cache(checked=True)
        position = position_of_newest(workload, parameters.model, lane, self._clock.now())
        return self._estimate_queued(workload, parameters, position)

    def gpu_seconds_per_unit(self, model: str) -> float | None:
        """Return the GPU seconds of a work unit of the model; None if no worker has reported any."""
        workload = self._workload_cache.latest()
        return None if workload is None else workload.gpu_seconds_per_unit(model)

    def typical_seconds(self, workload: Workload, parameters: GenerationParameters) -> float | None:
        """Predict a task that does not wait; None if no worker has reported times of its model."""
        draw_time = draw_time_of(workload, parameters)
        if draw_time is None:
            return None
        predicted = predicted_seconds(workload, draw_time, wait_seconds=0)
        return self._calibration(workload).eta(predicted).p50_seconds

    def with_predictions(self, tasks: Iterable[Task]) -> tuple[Task, ...]:
        """Add predictions to new tasks, which are submitted in this order."""
        workload = self._workload_cache.latest(checked=True)
        if workload is None:
            return tuple(tasks)
        predictions = []
        for task in tasks:
            position = position_of_newest(workload, task.parameters.model, task.lane, self._clock.now())
            if self._cached_position(task) is None:  # otherwise a replay at the same moment
                self._cache_position(task, position)
            draw_time = draw_time_of(workload, task.parameters)
            predicted = self._prediction(workload, task.parameters.model, draw_time, position)
            predictions.append(replace(task, predicted_seconds=predicted))
            workload = workload.with_task(task)
        return tuple(predictions)

    def add_stored(self, task: Task) -> None:
        """Count a stored task as queued before the next measurement finds it."""
        self._workload_cache.add_queued(task)

    def __call__(self, task: Task) -> Estimate:
        """Predict a stored task.

        Runs at most one count in the store, if the task's position is not cached.
        """
        (estimate,) = self.each((task,))
        return estimate

    def each(self, tasks: Sequence[Task]) -> tuple[Estimate, ...]:
        """Predict stored tasks from one workload."""
        is_over = all(task.status.is_terminal for task in tasks)
        workload = None if is_over else self._workload_cache.latest()
        return tuple(self._estimate_stored(workload, task) for task in tasks)

    def _estimate_stored(self, workload: Workload | None, task: Task) -> Estimate:
        if workload is None or task.status.is_terminal:
            return NO_ESTIMATE
        is_served = bool(workload.workers_of(task.parameters.model))
        return replace(self._estimate_active(workload, task), model_served=is_served)

    def _estimate_active(self, workload: Workload, task: Task) -> Estimate:
        if task.status is TaskStatus.PROCESSING:
            return self._estimate_held(workload, task)
        position = self._position_of(task, workload)
        return NO_ESTIMATE if position is None else self._estimate_queued(workload, task.parameters, position)

    def _estimate_queued(
        self, workload: Workload, parameters: GenerationParameters, position: QueuePosition
    ) -> Estimate:
        draw_time = draw_time_of(workload, parameters)
        estimate = Estimate(
            gpu_seconds=None if draw_time is None else draw_time.gpu_seconds,
            queue_position=position.tasks_ahead,
        )
        if not workload.workers_of(parameters.model):
            reason = f"no live worker serves the model {parameters.model!r}"
            return replace(estimate, feasible=False, reason=reason)
        predicted = self._prediction(workload, parameters.model, draw_time, position)
        if predicted is None:
            return estimate
        return replace(estimate, eta=self._calibration(workload).eta(predicted))

    def _estimate_held(self, workload: Workload, task: Task) -> Estimate:
        position = 0 if task.progress.phase is Phase.WAITING else None
        draw_time = draw_time_of(workload, task.parameters)
        if draw_time is None:
            return Estimate(queue_position=position)
        left = predicted_seconds_left(workload, draw_time, task)
        return Estimate(
            gpu_seconds=draw_time.gpu_seconds,
            queue_position=position,
            eta=self._calibration(workload).eta(left),
        )

    def _prediction(
        self, workload: Workload, model: str, draw_time: DrawTime | None, position: QueuePosition
    ) -> float | None:
        if draw_time is None or not workload.workers_of(model):
            return None
        wait = position.wait_seconds_at(self._clock.now())
        return predicted_seconds(workload, draw_time, wait_seconds=wait)

    def _position_of(self, task: Task, workload: Workload) -> QueuePosition | None:
        known = self._cached_position(task)
        if known is not None and self._clock.now() - known.as_of < _POSITION_TTL:
            return known
        model = task.parameters.model
        try:
            ahead = self._stats.queued_before(model, task.queued_at)
        except DependencyUnavailableError:
            return known
        position = position_behind(workload, model, task.lane, self._clock.now(), tasks_ahead=ahead)
        self._cache_position(task, position)
        return position

    def _cached_position(self, task: Task) -> QueuePosition | None:
        with self._lock:
            return self._positions.get((task.id, task.queued_at))

    def _cache_position(self, task: Task, position: QueuePosition) -> None:
        with self._lock:
            self._positions[task.id, task.queued_at] = position

    def _calibration(self, workload: Workload) -> Calibration:
        """Return the calibration, computed once per measurement."""
        workers, calibration = self._calibrated
        if workers is not workload.workers:
            known = workload.workers or workload.former_workers
            calibration = Calibration.of(worker.predictions for worker in known)
            self._calibrated = (workload.workers, calibration)
        return calibration

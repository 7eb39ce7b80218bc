"""Predict a task's GPU time, queue position and finish time, from a cached workload."""

import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from common.domain.errors import DependencyUnavailableError
from common.domain.parameters import GenerationParameters
from common.domain.task import Lane, Task, TaskStatus
from common.domain.worker_report import WorkerReport
from common.ports import Clock
from frontend_api.estimates.calibration import Calibration
from frontend_api.estimates.estimate import (
    NOTHING_KNOWN,
    Drawing,
    Outlook,
    Place,
    drawing_of,
    infeasible,
    place_behind,
    place_of_newest,
    predicted_seconds,
    predicted_seconds_left,
)
from frontend_api.estimates.workload import Workload
from frontend_api.estimates.workload_cache import ReadWorkload
from frontend_api.stats.queue_gauge import QueueGauge

_PLACE_GOOD_FOR = timedelta(seconds=1)
_MOST_PLACES = 2_000
"""The position of a task that was evicted is counted again on the next request."""


class ForetellTask:
    """Predicts tasks. Safe to share between threads.

    Only `estimate` raises an error when no prediction is possible; the other methods return less.
    """

    def __init__(self, *, read_workload: ReadWorkload, gauge: QueueGauge, clock: Clock) -> None:
        self._read_workload = read_workload
        self._gauge = gauge
        self._clock = clock
        self._lock = threading.Lock()
        self._places: OrderedDict[tuple[str, datetime], Place] = OrderedDict()
        """By id and the time it was queued: a retried task has another position."""
        self._calibrated: tuple[tuple[WorkerReport, ...], Calibration] = ((), Calibration.of(()))

    def estimate(self, parameters: GenerationParameters, lane: Lane) -> Outlook:
        """Predict a task submitted now. Raises DependencyUnavailableError."""
        workload = self._read_workload(checked=True)
        place = place_of_newest(workload, parameters.model, lane, self._clock.now())
        return self._outlook_of_queued(workload, parameters, place)

    def foretold(self, tasks: Iterable[Task]) -> tuple[Task, ...]:
        """Add predictions to new tasks, which are submitted in this order."""
        workload = self._read_workload.at_once(checked=True)
        if workload is None:
            return tuple(tasks)
        told = []
        for task in tasks:
            place = place_of_newest(workload, task.parameters.model, task.lane, self._clock.now())
            if self._known_place_of(task) is None:  # otherwise a replay at the same moment
                self._remember(task, place)
            drawing = drawing_of(workload, task.parameters)
            predicted = self._prediction(workload, task.parameters.model, drawing, place)
            told.append(replace(task, predicted_seconds=predicted))
            workload = workload.joined_by(task)
        return tuple(told)

    def note_stored(self, task: Task) -> None:
        """Count a stored task as queued before the next measurement finds it."""
        self._read_workload.note_queued(task)

    def __call__(self, task: Task) -> Outlook:
        """Predict a stored task.

        Runs at most one count in the store, if the task's position is not cached.
        """
        if task.status.is_terminal:
            return NOTHING_KNOWN
        workload = self._read_workload.at_once()
        if workload is None:
            return NOTHING_KNOWN
        is_served = bool(workload.workers_of(task.parameters.model))
        return replace(self._outlook_of_active(workload, task), model_served=is_served)

    def _outlook_of_active(self, workload: Workload, task: Task) -> Outlook:
        if task.status is TaskStatus.PROCESSING:
            return self._outlook_of_held(workload, task)
        place = self._place_of(task, workload)
        return NOTHING_KNOWN if place is None else self._outlook_of_queued(workload, task.parameters, place)

    def _outlook_of_queued(
        self, workload: Workload, parameters: GenerationParameters, place: Place
    ) -> Outlook:
        drawing = drawing_of(workload, parameters)
        told = Outlook(
            gpu_seconds=None if drawing is None else drawing.gpu_seconds, queue_position=place.tasks_ahead
        )
        if not workload.workers_of(parameters.model):
            return replace(told, feasible=False, reason=infeasible(parameters.model))
        predicted = self._prediction(workload, parameters.model, drawing, place)
        return told if predicted is None else replace(told, eta=self._calibration(workload).eta(predicted))

    def _outlook_of_held(self, workload: Workload, task: Task) -> Outlook:
        drawing = drawing_of(workload, task.parameters)
        if drawing is None:
            return NOTHING_KNOWN
        left = predicted_seconds_left(workload, drawing, task)
        return Outlook(gpu_seconds=drawing.gpu_seconds, eta=self._calibration(workload).eta(left))

    def _prediction(
        self, workload: Workload, model: str, drawing: Drawing | None, place: Place
    ) -> float | None:
        if drawing is None or not workload.workers_of(model):
            return None
        wait = place.wait_seconds_at(self._clock.now())
        return predicted_seconds(workload, drawing, wait_seconds=wait)

    def _place_of(self, task: Task, workload: Workload) -> Place | None:
        known = self._known_place_of(task)
        if known is not None and self._clock.now() - known.as_of < _PLACE_GOOD_FOR:
            return known
        model = task.parameters.model
        try:
            ahead = self._gauge.queued_before(model, task.queued_at)
        except DependencyUnavailableError:
            return known
        place = place_behind(workload, model, task.lane, self._clock.now(), tasks_ahead=ahead)
        self._remember(task, place)
        return place

    def _known_place_of(self, task: Task) -> Place | None:
        with self._lock:
            return self._places.get((task.id, task.queued_at))

    def _remember(self, task: Task, place: Place) -> None:
        key = (task.id, task.queued_at)
        with self._lock:
            self._places[key] = place
            self._places.move_to_end(key)
            if len(self._places) > _MOST_PLACES:
                self._places.popitem(last=False)

    def _calibration(self, workload: Workload) -> Calibration:
        """Return the calibration, computed once per measurement."""
        workers, calibration = self._calibrated
        if workers is not workload.workers:
            known = workload.workers or workload.former_workers
            calibration = Calibration.of(worker.foretold for worker in known)
            self._calibrated = (workload.workers, calibration)
        return calibration

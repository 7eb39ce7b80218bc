"""Estimate: a task's GPU time, queue position and estimated finish, computed from a Workload. Pure.

A worker receives tasks from Pub/Sub about in the order of submission, a few more than it processes
at once. Interactive tasks precede batch tasks only among the tasks that a worker holds. The worker
starts with the oldest task and adds tasks of the same size, so the work ahead is counted with the
step times of shared batches.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from common.domain.parameters import GenerationParameters
from common.domain.task import Lane, Phase, Task
from common.domain.worker_report import ModelTimes
from frontend_api.estimates.calibration import Eta
from frontend_api.estimates.workload import Workload
from frontend_api.stats.backlog import Work

_MEASURED_EVERY_SECONDS = 1.0
"""Up to this age, a measured position is as accurate as an estimated one."""
_HANDLING_SECONDS = 0.2
"""Time per task besides generation, assumed until a worker has reported its own value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Predictions for an unfinished task. None means unknown."""

    feasible: bool = True
    reason: str | None = None
    """Why no worker can process the task, if it is not feasible."""
    gpu_seconds: float | None = None
    queue_position: int | None = None
    """Number of queued tasks of the same model before it; 0 while a worker holds it
    but has not started; None once it has.
    """
    eta: Eta | None = None
    model_served: bool | None = None
    """Whether a live worker serves the model."""


NO_ESTIMATE = Estimate()


@dataclass(frozen=True, slots=True, kw_only=True)
class QueuePosition:
    as_of: datetime
    tasks_ahead: int
    wait_seconds: float
    """Until generation of this task begins."""

    def wait_seconds_at(self, now: datetime) -> float:
        return max(0.0, self.wait_seconds - (now - self.as_of).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawTime:
    """Generation time: `gpu_seconds` in usual batches, `alone_seconds` on an idle device."""

    gpu_seconds: float
    alone_seconds: float


def position_of_newest(workload: Workload, model: str, lane: Lane, now: datetime) -> QueuePosition:
    """Return the position of a task submitted now.

    Workers have continued since the workload was measured; their progress is estimated.
    """
    elapsed = max(0.0, (now - workload.as_of).total_seconds())
    wait_seconds = _wait_seconds(workload, model, lane, elapsed_seconds=elapsed)
    tasks_ahead = workload.backlog_of(model).all_queued.tasks - _claimed_since(workload, model, elapsed)
    return QueuePosition(as_of=now, tasks_ahead=tasks_ahead, wait_seconds=wait_seconds)


def position_behind(
    workload: Workload, model: str, lane: Lane, now: datetime, *, tasks_ahead: int
) -> QueuePosition:
    """Return the position of a queued task with `tasks_ahead` tasks of its model before it."""
    queued = workload.backlog_of(model).all_queued.tasks
    share = min(1.0, tasks_ahead / queued) if queued else 1.0
    wait_seconds = _wait_seconds(workload, model, lane, share=share)
    return QueuePosition(as_of=now, tasks_ahead=tasks_ahead, wait_seconds=wait_seconds)


def draw_time_of(workload: Workload, parameters: GenerationParameters) -> DrawTime | None:
    """Return the generation time of all images of a task: the median of the workers' values.

    None when no worker has reported any.
    """
    each = [_draw_time(times, parameters) for times in workload.times_of(parameters.model)]
    if not each:
        return None
    return DrawTime(
        gpu_seconds=median(one.gpu_seconds for one in each),
        alone_seconds=median(one.alone_seconds for one in each),
    )


def predicted_seconds(workload: Workload, draw_time: DrawTime, *, wait_seconds: float) -> float:
    """Return the seconds until a queued task finishes: wait, generation and handling."""
    return wait_seconds + draw_time.alone_seconds + _handling_seconds(workload)


def predicted_seconds_left(workload: Workload, draw_time: DrawTime, task: Task) -> float:
    """Return the seconds until a task that a worker holds finishes."""
    left = draw_time.alone_seconds * (1 - task.progress.value) + _handling_seconds(workload)
    if task.progress.phase is not Phase.WAITING:
        return left
    # It waits inside the worker behind about half of the worker's held work.
    model = task.parameters.model
    held = (workload.gpu_seconds_per_unit(model) or 0.0) * workload.units_in_work(model)
    return left + held / 2 / max(1, len(workload.workers_of(model)))


def _wait_seconds(
    workload: Workload, model: str, lane: Lane, *, share: float = 1.0, elapsed_seconds: float = 0.0
) -> float:
    """Return the seconds until the work ahead is done.

    Counts the queued tasks of all models that the same workers serve, and the tasks that they hold.
    """
    workers = workload.workers_of(model)
    if not workers:
        return 0.0
    sharing = workload.models & {name for worker in workers for name in worker.served_models}
    ahead = sum((_work_ahead(workload, name, share=share) for name in sharing), Work())
    if ahead.tasks < len(workers):
        return 0.0
    # Workers have hardly started on arrivals since the measurement.
    measured = sum((_work_ahead(replace(workload, arrivals={}), name) for name in sharing), Work())
    gpu_seconds = ahead.units - min(measured.units, elapsed_seconds * len(workers))
    if lane is Lane.INTERACTIVE:
        batch = sum((_work_ahead(workload, name, share=share, lane=Lane.BATCH) for name in sharing), Work())
        held_at_once = sum(worker.deliveries for worker in workers)
        gpu_seconds -= batch.units * min(1.0, held_at_once / ahead.tasks)
    return max(0.0, gpu_seconds) / len(workers)


def _claimed_since(workload: Workload, model: str, elapsed_seconds: float) -> int:
    """Estimate how many measured tasks workers have claimed since.

    A long backlog is measured only every few seconds.
    """
    measured = replace(workload, arrivals={})
    queued, workers = measured.backlog_of(model).all_queued, workload.workers_of(model)
    if not workers or elapsed_seconds <= _MEASURED_EVERY_SECONDS or not queued.tasks:
        return 0
    sharing = workload.models & {name for worker in workers for name in worker.models}
    seconds = sum((_work_ahead(measured, name) for name in sharing), Work()).units
    share = elapsed_seconds * len(workers) / seconds if seconds else 0.0
    return min(queued.tasks, int(share * queued.tasks))


def _work_ahead(workload: Workload, model: str, *, share: float = 1.0, lane: Lane | None = None) -> Work:
    """Return the tasks of one model, of one lane or both, with their GPU seconds as `units`."""
    backlog, per_unit = workload.backlog_of(model), workload.gpu_seconds_per_unit(model) or 0.0
    queued = backlog.all_queued if lane is None else backlog.queued.get(lane, Work())
    held = backlog.all_processing if lane is None else backlog.processing.get(lane, Work())
    held_share = held.units / backlog.all_processing.units if backlog.all_processing.units else 0.0
    units = share * queued.units + held_share * workload.units_in_work(model)
    return Work(tasks=round(share * queued.tasks) + held.tasks, units=per_unit * units)


def _draw_time(times: ModelTimes, parameters: GenerationParameters) -> DrawTime:
    """Use the times of the most similar size; a step's duration is proportional to the pixels."""
    if not times.sizes:
        seconds = times.gpu_seconds_per_unit * parameters.work_units
        return DrawTime(gpu_seconds=seconds, alone_seconds=seconds)
    pixels = parameters.pass_pixels
    size = min(times.sizes, key=lambda size: abs(math.log(size.pass_pixels / pixels)))
    scale = pixels / size.pass_pixels
    steps = parameters.computed_steps * times.factors.of(parameters)
    alone_step = size.step_seconds if size.alone_step_seconds is None else size.alone_step_seconds
    around = size.preparing_seconds + scale * size.decoding_seconds
    image = around + steps * scale * size.step_seconds
    alone = around + steps * scale * max(alone_step, size.step_seconds)
    others = (parameters.num_images - 1) * image
    return DrawTime(gpu_seconds=image + others, alone_seconds=alone + others)


def _handling_seconds(workload: Workload) -> float:
    known = [worker.handling_seconds for worker in workload.workers if worker.handling_seconds is not None]
    return median(known) if known else _HANDLING_SECONDS

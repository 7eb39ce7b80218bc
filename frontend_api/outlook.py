"""Outlook: what a task will take, where it stands and when it may end. Pure rules over a Workload.

A worker takes tasks as Pub/Sub delivers them, about in the order of submission, a few more than it draws at once. Only
among those that it holds do interactive tasks go before batch ones. It draws the oldest first, and what shares its size
along with it, so that work ahead is done in the time that it takes in shared batches.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from statistics import median

from common.domain.parameters import GenerationParameters
from common.domain.task import Lane, Phase, Task
from common.domain.worker_report import ModelTimes, SizeTimes
from frontend_api.calibration import Eta
from frontend_api.workload import Work, Workload

_MEASURED_EVERY_SECONDS = 1.0
"""Until then a measured position is as good as an estimated one."""
_HANDLING_SECONDS = 0.2
"""Of a task beside its drawing, until a worker has said what that takes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What can be told of a task that has not ended. None is what nobody knows."""

    feasible: bool = True
    reason: str | None = None
    """Why nobody can draw it, if nobody can."""
    gpu_seconds: float | None = None
    queue_position: int | None = None
    """How many tasks of its model wait before it; None once a worker holds it."""
    eta: Eta | None = None
    model_served: bool | None = None
    """Whether a live worker serves its model."""


NOTHING_KNOWN = Outlook()


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a queued task stood at some moment."""

    as_of: datetime
    tasks_ahead: int
    wait_seconds: float
    """Until its own drawing begins."""

    def wait_seconds_at(self, now: datetime) -> float:
        """What is left of the wait by then."""
        return max(0.0, self.wait_seconds - (now - self.as_of).total_seconds())


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What drawing takes: `gpu_seconds` where steps are shared as usual, `alone_seconds` with a device to itself."""

    gpu_seconds: float
    alone_seconds: float


def place_of_newest(workload: Workload, model: str, lane: Lane, now: datetime) -> Place:
    """Where a task stands that is submitted now; workers have gone on since the workload was measured."""
    gone_on = max(0.0, (now - workload.as_of).total_seconds())
    wait_seconds = _wait_seconds(workload, model, lane, gone_on_seconds=gone_on)
    tasks_ahead = workload.backlog_of(model).all_queued.tasks - _claimed_since(workload, model, gone_on)
    return Place(as_of=now, tasks_ahead=tasks_ahead, wait_seconds=wait_seconds)


def place_behind(workload: Workload, model: str, lane: Lane, now: datetime, *, tasks_ahead: int) -> Place:
    """Where a task stands before which so many of its model are queued now."""
    queued = workload.backlog_of(model).all_queued.tasks
    share = min(1.0, tasks_ahead / queued) if queued else 1.0
    wait_seconds = _wait_seconds(workload, model, lane, share=share)
    return Place(as_of=now, tasks_ahead=tasks_ahead, wait_seconds=wait_seconds)


def drawing_of(workload: Workload, parameters: GenerationParameters) -> Drawing | None:
    """What all images of a task take a worker, at the median of those that know; None when none does."""
    each = [_drawing(times, parameters) for times in workload.times_of(parameters.model)]
    if not each:
        return None
    return Drawing(
        gpu_seconds=median(one.gpu_seconds for one in each),
        alone_seconds=median(one.alone_seconds for one in each),
    )


def predicted_seconds(workload: Workload, drawing: Drawing, *, wait_seconds: float) -> float:
    """From now to the end of a task that waits, as far as its own time and that of those before it says."""
    return wait_seconds + drawing.alone_seconds + _handling_seconds(workload)


def predicted_seconds_left(workload: Workload, drawing: Drawing, task: Task) -> float:
    """The same of a task that a worker holds."""
    left = drawing.alone_seconds * (1 - task.progress.value) + _handling_seconds(workload)
    if task.progress.phase is not Phase.WAITING:
        return left
    # It waits inside the worker behind about half of what that holds.
    model = task.parameters.model
    held = (workload.gpu_seconds_per_unit(model) or 0.0) * workload.units_in_work(model)
    return left + held / 2 / max(1, len(workload.workers_of(model)))


def infeasible(model: str) -> str:
    """Why a task cannot be drawn that nobody serves."""
    return f"no worker that serves the model {model!r} is alive"


def _wait_seconds(
    workload: Workload, model: str, lane: Lane, *, share: float = 1.0, gone_on_seconds: float = 0.0
) -> float:
    """Until the work ahead is done: what waits of all models that the same workers serve, and what they hold."""
    workers = workload.workers_of(model)
    if not workers:
        return 0.0
    sharing = workload.models & {name for worker in workers for name in worker.served_models}
    ahead = sum((_work_ahead(workload, name, share=share) for name in sharing), Work())
    if ahead.tasks < len(workers):
        return 0.0
    # What arrived since it was measured has hardly been begun.
    measured = sum((_work_ahead(replace(workload, arrivals={}), name) for name in sharing), Work())
    gpu_seconds = ahead.units - min(measured.units, gone_on_seconds * len(workers))
    if lane is Lane.INTERACTIVE:
        batch = sum((_work_ahead(workload, name, share=share, lane=Lane.BATCH) for name in sharing), Work())
        held_at_once = sum(worker.deliveries for worker in workers)
        gpu_seconds -= batch.units * min(1.0, held_at_once / ahead.tasks)
    return max(0.0, gpu_seconds) / len(workers)


def _claimed_since(workload: Workload, model: str, gone_on_seconds: float) -> int:
    """About how many of the measured tasks workers have claimed since: a long backlog is measured every few seconds."""
    measured = replace(workload, arrivals={})
    queued, workers = measured.backlog_of(model).all_queued, workload.workers_of(model)
    if not workers or gone_on_seconds <= _MEASURED_EVERY_SECONDS or not queued.tasks:
        return 0
    sharing = workload.models & {name for worker in workers for name in worker.models}
    seconds = sum((_work_ahead(measured, name) for name in sharing), Work()).units
    share = gone_on_seconds * len(workers) / seconds if seconds else 0.0
    return min(queued.tasks, int(share * queued.tasks))


def _work_ahead(workload: Workload, model: str, *, share: float = 1.0, lane: Lane | None = None) -> Work:
    """Tasks of one model, and as `units` the seconds of a GPU they take; of one lane, or of both."""
    backlog, per_unit = workload.backlog_of(model), workload.gpu_seconds_per_unit(model) or 0.0
    queued = backlog.all_queued if lane is None else backlog.queued.get(lane, Work())
    held = backlog.all_processing if lane is None else backlog.processing.get(lane, Work())
    held_share = held.units / backlog.all_processing.units if backlog.all_processing.units else 0.0
    units = share * queued.units + held_share * workload.units_in_work(model)
    return Work(tasks=round(share * queued.tasks) + held.tasks, units=per_unit * units)


def _drawing(times: ModelTimes, parameters: GenerationParameters) -> Drawing:
    """By the size that is most like it; a step takes as much longer as there are more pixels."""
    if not times.sizes:
        seconds = times.gpu_seconds_per_unit * parameters.work_units
        return Drawing(gpu_seconds=seconds, alone_seconds=seconds)
    pixels = parameters.pass_pixels
    size = _most_like(times.sizes, pixels)
    scale = pixels / size.pass_pixels
    alone_step = size.step_seconds if size.alone_step_seconds is None else size.alone_step_seconds
    around = size.preparing_seconds + scale * size.decoding_seconds
    image = around + parameters.steps * scale * size.step_seconds
    alone = around + parameters.steps * scale * max(alone_step, size.step_seconds)
    others = (parameters.num_images - 1) * image
    return Drawing(gpu_seconds=image + others, alone_seconds=alone + others)


def _most_like(sizes: Sequence[SizeTimes], pass_pixels: int) -> SizeTimes:
    return min(sizes, key=lambda size: abs(math.log(size.pass_pixels / pass_pixels)))


def _handling_seconds(workload: Workload) -> float:
    known = [worker.handling_seconds for worker in workload.workers if worker.handling_seconds is not None]
    return median(known) if known else _HANDLING_SECONDS

"""One simulated run and its measurements."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import simpy

from benchmarks.autoscaling.autoscalers import DEMAND, MESSAGES, Autoscaler, Controller, Decision
from benchmarks.autoscaling.cluster import Cluster, Glance, Physics, Process, Task, sampled
from benchmarks.autoscaling.signals import (
    VISIBLE_AFTER_SECONDS,
    DemandFigure,
    Outage,
    Signal,
    UndeliveredMessages,
)
from benchmarks.autoscaling.traces import HOUR, Submission

QUIET_SECONDS = 120.0
"""A submission after at least this long without one begins a burst."""
YARDSTICK_SECONDS = 120.0
"""Reference for over- and undershoot: the number of workers that finish the existing work in this time."""
_LOOK_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The conditions of a run, besides its submissions."""

    physics: Physics = field(default_factory=Physics)
    figure_outages: tuple[Outage, ...] = ()
    figure_failing_share: float = 0.0
    monitoring_outages: tuple[Outage, ...] = ()
    visible_after_seconds: float = VISIBLE_AFTER_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The results of a run. Times in seconds."""

    first_images: tuple[float, ...]
    """Per burst: from its first task to the first image of any of its tasks."""
    waits: tuple[float, ...]
    """Per task: from its submission to its image."""
    gpu_hours: float
    """Of billed nodes."""
    needed_gpu_hours: float
    """Of the submitted work."""
    overshoot: float
    """Ready workers above the required number, averaged over time."""
    undershoot: float
    """Ready workers missing from the required number, averaged over time."""
    busy_removed: int
    unfinished: int
    decisions: tuple[Decision, ...]
    fleet: tuple[Glance, ...]


def simulated(
    trace: Sequence[Submission], autoscaler: Autoscaler, world: World, *, seed: int, hours: float
) -> Outcome:
    """Run one autoscaler on one trace. Equal seeds give equal random values as long as the events are the same."""
    env = simpy.Environment()
    cluster = Cluster(env, world.physics, Random(seed))
    signals: dict[str, Signal] = {
        DEMAND: DemandFigure(
            cluster,
            Random(seed),
            outages=world.figure_outages,
            failing_share=world.figure_failing_share,
            target_seconds=autoscaler.target_seconds,
        ),
        MESSAGES: UndeliveredMessages(
            cluster,
            Random(seed),
            outages=world.monitoring_outages,
            visible_after_seconds=world.visible_after_seconds,
        ),
    }
    controller = Controller(cluster, autoscaler, signals)
    controller.start(offset_seconds=Random(seed).uniform(0, 60))
    env.process(_submitting(cluster, trace))
    env.process(sampled(cluster, _LOOK_SECONDS, cluster.note_fleet))
    env.run(until=hours * HOUR)
    cluster.settle_accounts()
    return _measured(cluster, controller, autoscaler)


def _submitting(cluster: Cluster, trace: Sequence[Submission]) -> Process:
    for submission in trace:
        yield cluster.env.timeout(submission.at - cluster.env.now)
        cluster.submit(Task(submission, submission.gpu_seconds))


def _measured(cluster: Cluster, controller: Controller, autoscaler: Autoscaler) -> Outcome:
    ledger, end = cluster.ledger, cluster.env.now
    gaps = [glance.ready - _asked_for(glance, autoscaler.max_replicas) for glance in ledger.fleet]
    return Outcome(
        first_images=_first_images(cluster.tasks, end),
        waits=tuple(_ended(task, end) - task.submission.at for task in cluster.tasks),
        gpu_hours=ledger.node_seconds / HOUR,
        needed_gpu_hours=sum(task.submission.gpu_seconds for task in cluster.tasks) / HOUR,
        overshoot=statistics.fmean(max(0, gap) for gap in gaps),
        undershoot=statistics.fmean(max(0, -gap) for gap in gaps),
        busy_removed=ledger.busy_removed,
        unfinished=sum(task.ended_at is None for task in cluster.tasks),
        decisions=tuple(controller.decisions),
        fleet=tuple(ledger.fleet),
    )


def _asked_for(glance: Glance, most: int) -> int:
    return min(math.ceil(glance.gpu_seconds / YARDSTICK_SECONDS), glance.tasks, most)


def _ended(task: Task, end: float) -> float:
    """Return the end time. Unfinished tasks end with the run, which is too early; `unfinished` counts them."""
    return end if task.ended_at is None else task.ended_at


def _first_images(tasks: Sequence[Task], end: float) -> tuple[float, ...]:
    bursts: list[list[Task]] = []
    last = -math.inf
    for task in tasks:
        if task.submission.at - last >= QUIET_SECONDS:
            bursts.append([])
        bursts[-1].append(task)
        last = task.submission.at
    return tuple(min(_ended(task, end) for task in burst) - burst[0].submission.at for burst in bursts)

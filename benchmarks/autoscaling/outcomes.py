"""One simulated run and its measurements."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import simpy

from benchmarks.autoscaling.autoscalers import DEMAND, MESSAGES, Autoscaler, Controller, Decision
from benchmarks.autoscaling.cluster import Cluster, FleetSample, Physics, Process, Task, repeat
from benchmarks.autoscaling.signals import (
    VISIBLE_AFTER_SECONDS,
    DemandMetric,
    Outage,
    Signal,
    UndeliveredMessages,
)
from benchmarks.autoscaling.traces import HOUR, Submission

QUIET_SECONDS = 120.0
"""A submission after at least this long without one begins a burst."""
REFERENCE_SECONDS = 120.0
"""Reference for over- and undershoot: workers that finish the existing work in this time."""
_SAMPLE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The conditions of a run, besides its submissions."""

    physics: Physics = field(default_factory=Physics)
    demand_outages: tuple[Outage, ...] = ()
    demand_failure_rate: float = 0.0
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
    fleet: tuple[FleetSample, ...]


def simulate(
    trace: Sequence[Submission], autoscaler: Autoscaler, world: World, *, seed: int, hours: float
) -> Outcome:
    """Run one autoscaler on one trace."""
    env = simpy.Environment()
    cluster = Cluster(env, world.physics, Random(seed))
    signals: dict[str, Signal] = {
        DEMAND: DemandMetric(
            cluster,
            Random(seed),
            outages=world.demand_outages,
            failure_rate=world.demand_failure_rate,
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
    env.process(_submit_all(cluster, trace))
    env.process(repeat(cluster, _SAMPLE_SECONDS, cluster.record_fleet))
    env.run(until=hours * HOUR)
    cluster.bill_remaining_nodes()
    return _measure(cluster, controller, autoscaler)


def _submit_all(cluster: Cluster, trace: Sequence[Submission]) -> Process:
    for submission in trace:
        yield cluster.env.timeout(submission.at - cluster.env.now)
        cluster.submit(Task(submission, submission.gpu_seconds))


def _measure(cluster: Cluster, controller: Controller, autoscaler: Autoscaler) -> Outcome:
    ledger, end = cluster.ledger, cluster.env.now
    gaps = [sample.ready - _required_workers(sample, autoscaler.max_replicas) for sample in ledger.fleet]
    return Outcome(
        first_images=_first_images(cluster.tasks, end),
        waits=tuple(_end_time(task, end) - task.submission.at for task in cluster.tasks),
        gpu_hours=ledger.node_seconds / HOUR,
        needed_gpu_hours=sum(task.submission.gpu_seconds for task in cluster.tasks) / HOUR,
        overshoot=statistics.fmean(max(0, gap) for gap in gaps),
        undershoot=statistics.fmean(max(0, -gap) for gap in gaps),
        busy_removed=ledger.busy_removed,
        unfinished=sum(task.finished_at is None for task in cluster.tasks),
        decisions=tuple(controller.decisions),
        fleet=tuple(ledger.fleet),
    )


def _required_workers(sample: FleetSample, max_workers: int) -> int:
    return min(math.ceil(sample.gpu_seconds / REFERENCE_SECONDS), sample.tasks, max_workers)


def _end_time(task: Task, end: float) -> float:
    """Return the end time. Unfinished tasks, which `unfinished` counts, end with the run."""
    return end if task.finished_at is None else task.finished_at


def _first_images(tasks: Sequence[Task], end: float) -> tuple[float, ...]:
    bursts: list[list[Task]] = []
    last = -math.inf
    for task in tasks:
        if task.submission.at - last >= QUIET_SECONDS:
            bursts.append([])
        bursts[-1].append(task)
        last = task.submission.at
    return tuple(min(_end_time(task, end) for task in burst) - burst[0].submission.at for burst in bursts)

"""The simulated cluster: GPU nodes, pods, and the tasks that workers process.

A node has one GPU, one pod and one worker, and a worker processes one task at a time: shared
batches increase the work per GPU second equally for all policies. `benchmarks.fleet` simulates
workers whose tasks share steps in the same cluster. `Physics` has the values and their sources.
"""

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import simpy

from benchmarks.autoscaling.traces import Submission

Process = Generator[simpy.Event, Any, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Physics:
    """Durations in seconds. Medians; variable durations have a log-normal distribution."""

    node_seconds: float = 225.0
    """From the pending pod to the node it runs on: Google's own measurement with a diffusion model
    on GKE (cloud.google.com/blog, "Improving launch time of Stable Diffusion on GKE by 4X",
    2023)."""
    node_spread: float = 0.15
    """Standard deviation of the logarithm."""
    container_seconds: float = 20.0
    """With image streaming; without it, the same image takes 3 m 50 s to pull."""
    cached_container_seconds: float = 3.0
    """The same on a node that already has the image."""
    load_seconds: float = 30.0
    """Process, model and warm-up, with weights on a secondary boot disk. An assumption."""
    node_idle_seconds: float = 600.0
    """Billed time of an unneeded node: the cluster autoscaler's `--scale-down-unneeded-time`."""
    drain_seconds: float = 8.0
    """Time after SIGTERM until the task is returned: `DARKROOM_DRAIN_DEADLINE_SECONDS`."""
    spot_life_hours: float | None = None
    """Mean lifetime of a Spot node; None: nodes are not lost."""
    max_nodes: int = 20


@dataclass(slots=True, eq=False)
class Task:
    """A task in the simulation; times in seconds since its start."""

    submission: Submission
    remaining_seconds: float
    finished_at: float | None = None


@dataclass(slots=True, eq=False)
class Node:
    created_at: float
    has_image: bool = False
    in_use_again: simpy.Event | None = None


@dataclass(slots=True, eq=False)
class Pod:
    """A pod of the Deployment, with its worker once it is ready."""

    node: Node | None = None
    process: simpy.Process | None = None
    ready_at: float | None = None
    running: list[Task] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetSample:
    """The fleet and its work at one time."""

    at: float
    replicas: int
    """Requested."""
    ready: int
    tasks: int
    """Unfinished: waiting or running."""
    gpu_seconds: float
    """Their remaining work."""
    nodes: int
    """Billed: requested and not deleted yet."""


@dataclass(slots=True)
class Ledger:
    """Measurements of the cluster."""

    node_seconds: float = 0.0
    busy_removed: int = 0
    """Workers that scaling in removed while they were busy (without lost nodes)."""
    fleet: list[FleetSample] = field(default_factory=list)


class Cluster:
    """Nodes, pods and the queue. Autoscalers control it by `set_replicas` only."""

    def __init__(self, env: simpy.Environment, physics: Physics, random: Random) -> None:
        self.env = env
        self.ledger = Ledger()
        self.tasks: list[Task] = []
        self.waiting: list[Task] = []
        self.pods: list[Pod] = []
        self._physics = physics
        self._random = random
        self._idle_nodes: list[Node] = []
        self._nodes: dict[Node, None] = {}
        self._pending_nodes = 0
        self._task_added = env.event()

    @property
    def replicas(self) -> int:
        return len(self.pods)

    @property
    def running(self) -> list[Task]:
        return [task for pod in self.pods for task in pod.running]

    @property
    def ready(self) -> int:
        return sum(pod.ready_at is not None for pod in self.pods)

    def submit(self, task: Task) -> None:
        self.tasks.append(task)
        self._enqueue(task)

    def set_replicas(self, replicas: int) -> None:
        """Remove pods that are not ready first, then idle ones, as the Deployment does."""
        while len(self.pods) < replicas:
            self._start_pod()
        excess = len(self.pods) - replicas
        for pod in sorted(self.pods, key=_removal_rank)[: max(0, excess)]:
            self._remove(pod)
        self._provision()

    def record_fleet(self) -> None:
        tasks = (*self.waiting, *self.running)
        sample = FleetSample(
            at=self.env.now,
            replicas=self.replicas,
            ready=self.ready,
            tasks=len(tasks),
            gpu_seconds=sum(task.remaining_seconds for task in tasks),
            nodes=len(self._nodes) + self._pending_nodes,
        )
        self.ledger.fleet.append(sample)

    def bill_remaining_nodes(self) -> None:
        """Add the cost of the nodes that still exist."""
        self.ledger.node_seconds += sum(self.env.now - node.created_at for node in self._nodes)

    def _start_pod(self) -> None:
        pod = Pod()
        self.pods.append(pod)
        self._bind_pending()

    def _remove(self, pod: Pod) -> None:
        self.pods.remove(pod)
        self.ledger.busy_removed += bool(pod.running)
        if pod.process is not None:
            pod.process.interrupt("scaled in")

    def _bind_pending(self) -> None:
        for pod in [pod for pod in self.pods if pod.node is None]:
            if not self._idle_nodes:
                return
            node = self._idle_nodes.pop()
            if node.in_use_again is not None:
                node.in_use_again.succeed()
            pod.node = node
            pod.process = self.env.process(self._worker(pod, node))

    def _provision(self) -> None:
        pending = sum(pod.node is None for pod in self.pods)
        capacity = self._physics.max_nodes - len(self._nodes) - self._pending_nodes
        for _ in range(min(pending - self._pending_nodes, capacity)):
            self._pending_nodes += 1
            self.env.process(self._new_node())

    def _new_node(self) -> Process:
        requested_at = self.env.now
        spread = self._physics.node_spread
        yield self.env.timeout(self._random.lognormvariate(math.log(self._physics.node_seconds), spread))
        self._pending_nodes -= 1
        # Billed from the request: slightly too much, equally for all policies.
        node = Node(created_at=requested_at)
        self._nodes[node] = None
        if self._physics.spot_life_hours is not None:
            self.env.process(self._preempt(node))
        self._make_idle(node)

    def _make_idle(self, node: Node) -> None:
        node.in_use_again = self.env.event()
        self._idle_nodes.append(node)
        self.env.process(self._delete_when_idle(node, node.in_use_again))
        self._bind_pending()

    def _delete_when_idle(self, node: Node, in_use_again: simpy.Event) -> Process:
        yield in_use_again | self.env.timeout(self._physics.node_idle_seconds)
        if not in_use_again.triggered and node in self._nodes:
            self._idle_nodes.remove(node)
            self._delete_node(node)

    def _delete_node(self, node: Node) -> None:
        self.ledger.node_seconds += self.env.now - node.created_at
        del self._nodes[node]

    def _preempt(self, node: Node) -> Process:
        assert self._physics.spot_life_hours is not None
        yield self.env.timeout(self._random.expovariate(1 / (self._physics.spot_life_hours * 3_600)))
        if node not in self._nodes:
            return
        if node in self._idle_nodes:
            self._idle_nodes.remove(node)
            assert node.in_use_again is not None
            node.in_use_again.succeed()
            self._delete_node(node)
            return
        pod = next((pod for pod in self.pods if pod.node is node), None)
        if pod is not None and pod.process is not None:
            # The Deployment replaces the pod, and the new one waits for another node.
            self.pods.remove(pod)
            pod.process.interrupt("spot")
            self._start_pod()
            self._provision()

    def _worker(self, pod: Pod, node: Node) -> Process:
        cause: str | None = None
        try:
            is_cached = node.has_image
            physics = self._physics
            yield self.env.timeout(
                physics.cached_container_seconds if is_cached else physics.container_seconds
            )
            node.has_image = True
            yield self.env.timeout(physics.load_seconds)
            pod.ready_at = self.env.now
            yield from self._process_tasks(pod)
        except simpy.Interrupt as interrupt:
            cause = str(interrupt.cause)
            yield from self._drain(pod)
        if node in self._nodes:
            if cause == "spot":
                self._delete_node(node)
            else:
                self._make_idle(node)

    def _process_tasks(self, pod: Pod) -> Process:
        while True:
            while not self.waiting:
                yield self._task_added
            task = self.waiting.pop(0)
            pod.running.append(task)
            began = self.env.now
            try:
                yield self.env.timeout(task.remaining_seconds)
            finally:
                task.remaining_seconds = max(0.0, task.remaining_seconds - (self.env.now - began))
            self._finish(pod, task)

    def _drain(self, pod: Pod) -> Process:
        if not pod.running:
            return
        (task,) = pod.running
        if task.remaining_seconds <= self._physics.drain_seconds:
            yield self.env.timeout(task.remaining_seconds)
            self._finish(pod, task)
            return
        yield self.env.timeout(self._physics.drain_seconds)
        task.remaining_seconds -= self._physics.drain_seconds
        pod.running.remove(task)
        self._enqueue(task, first=True)

    def _finish(self, pod: Pod, task: Task) -> None:
        task.remaining_seconds = 0.0
        task.finished_at = self.env.now
        pod.running.remove(task)

    def _enqueue(self, task: Task, *, first: bool = False) -> None:
        self.waiting.insert(0 if first else len(self.waiting), task)
        task_added, self._task_added = self._task_added, self.env.event()
        task_added.succeed()


def _removal_rank(pod: Pod) -> tuple[bool, bool, float]:
    return pod.ready_at is not None, bool(pod.running), -(pod.ready_at or 0.0)


def repeat(cluster: Cluster, every_seconds: float, work: Callable[[], None]) -> Process:
    """Call `work` at regular intervals."""
    while True:
        work()
        yield cluster.env.timeout(every_seconds)

"""WorkerBench: ProcessTask with a fake for every port, and one task in the store."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from common.domain.task import Claim, Task, TaskStatus
from common.observability.gpu_cost import GpuCost
from common.wire_formats.task_message import encode_task_message, task_message_attributes
from gpu_subscriber.attempt.active_task import Pace
from gpu_subscriber.attempt.checkpoints import CheckpointKeeper
from gpu_subscriber.attempt.claim_takeover import ClaimTakeover
from gpu_subscriber.attempt.deleted_tasks import DeletedTasks
from gpu_subscriber.attempt.heartbeat import Heartbeat
from gpu_subscriber.attempt.process_task import ProcessTask
from gpu_subscriber.attempt.progress_events import ProgressEvents
from gpu_subscriber.attempt.timing_stats import TimingStats
from gpu_subscriber.dependency_retry import DependencyRetry
from gpu_subscriber.images.inputs import TaskInputs
from gpu_subscriber.images.storage import ImageStorage
from gpu_subscriber.ports import Delivery, ImageGenerator, Settlement
from tests.factories import submitted_task
from tests.fakes.fake_clock import FakeClock
from tests.fakes.in_memory_objects import InMemoryCheckpointStore, InMemoryImageWriter, InMemoryInputReader
from tests.fakes.in_memory_task_store import InMemoryTaskStore
from tests.fakes.recording_publishers import RecordingDeadLetters, RecordingEventPublisher
from tests.fakes.scripted_generator import ScriptedGenerator

CLAIM_TTL = timedelta(seconds=60)


def delivery_of(task: Task) -> Delivery:
    return Delivery(
        message_id=f"m-{task.id}",
        body=encode_task_message(task, result_bucket="images"),
        attributes=task_message_attributes(task),
    )


class _EventfulWatch(ClaimTakeover):
    """Takes no time, but calls a hook while it waits."""

    def __init__(self, happens: Callable[[], None], draining: threading.Event) -> None:
        super().__init__(seconds=0.0, again_after_seconds=CLAIM_TTL.total_seconds(), draining=draining)
        self._happens = happens

    def wait_for_silence(self, task_id: str, claim: Claim) -> bool:
        is_watched = super().wait_for_silence(task_id, claim)
        if is_watched:
            self._happens()
        return is_watched


@dataclass(slots=True)
class WorkerBench:
    """The shared parts of several workers (store, bucket, topics, clock) and the parts of one of
    them.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    store: InMemoryTaskStore = field(default_factory=InMemoryTaskStore)
    writer: InMemoryImageWriter = field(default_factory=InMemoryImageWriter)
    checkpoints: InMemoryCheckpointStore = field(default_factory=InMemoryCheckpointStore)
    inputs: InMemoryInputReader = field(default_factory=InMemoryInputReader)
    events: RecordingEventPublisher = field(default_factory=RecordingEventPublisher)
    dead_letters: RecordingDeadLetters = field(default_factory=RecordingDeadLetters)
    generator: ScriptedGenerator = field(default_factory=ScriptedGenerator)
    draining: threading.Event = field(default_factory=threading.Event)
    while_watching: Callable[[], None] = lambda: None
    """Called while a worker checks whether another one renews its claim."""
    tell: Callable[[Callable[[], None]], object] = lambda job: job()
    """Runs the publication of task changes: synchronously by default."""
    patience_seconds: float = 0.0
    timing_stats: TimingStats = field(default_factory=TimingStats)
    heartbeat: Heartbeat = field(init=False)

    def __post_init__(self) -> None:
        self.heartbeat = Heartbeat(clock=self.clock, claim_ttl=CLAIM_TTL, pace=Pace())

    def submit(self, **changes: object) -> Task:
        return self.store.create(submitted_task(now=self.clock.now(), **changes))

    def claim(self, task: Task, worker_id: str) -> Task:
        return self.store.update(task.id, lambda t: t.claimed_by(worker_id, self.clock.now(), CLAIM_TTL))

    def claim_by_dead_worker(self, task: Task) -> None:
        """Claim the task, and let the claim expire."""
        self.claim(task, "dead")
        self.clock.advance(61)

    def request_cancel(self, task: Task) -> None:
        self.store.update(task.id, lambda t: t.cancel_requested(self.clock.now()))

    def delete(self, task: Task) -> None:
        self.store.delete(task.id, now=self.clock.now())

    def deliver(self, task: Task, worker_id: str = "worker-a") -> tuple[Settlement, TaskStatus]:
        """Process one delivery of the task; return its settlement and the stored status."""
        settlement = self.worker(worker_id)(delivery_of(task))
        return settlement, self.store.get(task.id).status

    def worker(self, worker_id: str = "worker-a", *, generator: ImageGenerator | None = None) -> ProcessTask:
        """Return a ProcessTask on these parts."""
        patience = DependencyRetry(
            seconds=self.patience_seconds, draining=self.draining, first_pause_seconds=0.001
        )
        images = ImageStorage(writer=self.writer, dependency_retry=patience)
        checkpoints = CheckpointKeeper(self.checkpoints)
        return ProcessTask(
            worker_id=worker_id,
            claim_ttl=CLAIM_TTL,
            store=self.store,
            generator=generator or self.generator,
            inputs=TaskInputs(
                reader=self.inputs, dependency_retry=patience, max_bytes=100_000, max_pixels=1_000_000
            ),
            images=images,
            checkpoints=checkpoints,
            deleted_tasks=DeletedTasks(
                images=images, checkpoints=checkpoints, timer=lambda: self.clock.now().timestamp()
            ),
            events=self.events,
            progress_events=ProgressEvents(
                self.events, clock=self.clock, progress_seconds=5.0, run=self.tell
            ),
            dead_letters=self.dead_letters,
            heartbeat=self.heartbeat,
            dependency_retry=patience,
            claim_takeover=_EventfulWatch(self.while_watching, self.draining),
            timing_stats=self.timing_stats,
            clock=self.clock,
            gpu_cost=GpuCost(),
        )

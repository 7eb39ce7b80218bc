"""A task that this worker has claimed, from the claim to the end of the attempt."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

from common.domain.errors import ClaimLostError
from common.domain.images import StoredImage
from common.domain.task import AttemptOutput, Claim, FailedImage, Phase, Task
from common.domain.task_records import TaskWarning
from common.domain.task_warnings import warned
from common.ports import Clock, TaskStore
from gpu_subscriber.attempt.progress import ProgressTracker
from gpu_subscriber.errors import GenerationInterruptedError
from gpu_subscriber.ports import GeneratedImage, Generation, ProgressListener

Answer = TypeVar("Answer")


class StopReason(StrEnum):
    """Why an attempt was stopped before its end."""

    CANCELLED = "cancelled"
    DRAINING = "draining"
    CLAIM_LOST = "claim_lost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a task's document is written during generation.

    A claim is renewed every `renewal_seconds` at the latest. A progress write is due
    `progress_seconds` after the last write and after a tenth of the work, so that a task of any length
    has about ten writes. The first denoising step is due at once. A finished image of several is due
    after `preview_seconds`. So is the first preview, or at once if the task will still be generating
    by then: it is written anyway, and in a short task such a wait would be most of the time.
    """

    renewal_seconds: float = 3.0
    progress_seconds: float = 1.0
    preview_seconds: float = 0.3
    poll_seconds: float = 2.0
    """Interval of reads for a cancellation while no write is due, which would also return it."""
    min_progress: float = 0.09


class ActiveTask(ProgressListener):
    """The state of one attempt that threads share: the claim, the progress, and whether to stop.

    The callback thread ends it, a thread of its own generates it, the engine's reading thread reports
    to it, the heartbeat renews it.
    """

    def __init__(
        self,
        task: Task,
        *,
        store: TaskStore,
        clock: Clock,
        on_change: Callable[[], None],
        on_progress: Callable[[Task], None],
    ) -> None:
        if task.claim is None:
            raise ClaimLostError(f"task {task.id!r} has no claim")
        self.claim: Claim = task.claim
        self._missing = frozenset(task.missing_images)
        self.tracker = ProgressTracker(
            images=task.parameters.num_images,
            steps=task.parameters.computed_steps,
            clock=clock,
            finished=set(range(task.parameters.num_images)) - self._missing,
        )
        self._images: tuple[StoredImage, ...] = ()
        self._failed_images: tuple[FailedImage, ...] = ()
        self._written_images = 0
        self._generating_since: datetime | None = None
        self.reported_seconds = 0.0
        """The device seconds of this attempt that the latest renewal of its claim stored."""
        self._task = task
        self._store = store
        self._clock = clock
        self._on_change = on_change
        self._on_progress = on_progress
        self._writing = threading.Lock()
        self._state = threading.Lock()
        self._generation: Generation | None = None
        self._ended: queue.SimpleQueue[object] = queue.SimpleQueue()
        """The work of `run` once it has ended; None once it is abandoned."""
        self.stop_reason: StopReason | None = None
        """Why the attempt is being stopped; None if it is not."""
        self.began_at = self._generated_at = clock.now()
        self._written_at = self._seen_at = self.began_at
        self._written_phase = Phase.WAITING
        self._written_value = 0.0
        self._previewed_value: float | None = None
        self._not_before = self.began_at

    @property
    def task(self) -> Task:
        """The task as last written or read, with the warnings that the engine has reported since."""
        return warned(self._task, self.tracker.warnings)

    # ── what the engine reports ──────────────────────────────────────────────────────────────────────────

    def phase_changed(self, index: int, phase: Phase) -> None:
        if self._generating_since is None and phase is not Phase.WAITING:
            self._generating_since = self._clock.now()
        self.tracker.phase_changed(index, phase)
        self._on_change()

    def warned(self, warnings: tuple[TaskWarning, ...]) -> None:
        """Add warnings of the engine; the next write stores them."""
        self.tracker.warned(warnings)

    def step_done(self, index: int, step: int) -> None:
        """Record a step. Only steps that are worth a write wake the heartbeat."""
        before = self.tracker.value
        self.tracker.step_done(index, step)
        if int(before * 10) != int(self.tracker.value * 10):
            self._on_change()

    def preview_ready(self, index: int, step: int, jpeg: bytes) -> None:
        self.tracker.preview_ready(index, step, jpeg)
        self._on_change()

    def image_generated(self, image: GeneratedImage) -> None:
        """Record an image that the engine has finished; encoding and upload follow."""
        self._generated_at = self._clock.now()
        self.tracker.image_finished(image.index)

    def image_stored(self, image: StoredImage) -> None:
        """Record an image that is in the bucket; the next write publishes it to the owner."""
        self._images = (*self._images, image)
        self._on_change()

    def image_failed(self, image: FailedImage) -> None:
        """Record an image that no attempt can generate."""
        self._failed_images = (*self._failed_images, image)
        self.tracker.image_finished(image.index)
        self._on_change()

    @property
    def output(self) -> AttemptOutput:
        """The output of the attempt so far."""
        with self._state:
            runs = () if self._generation is None else self._generation.runs
        return AttemptOutput(
            images=self._images,
            failed_images=self._failed_images,
            runs=runs,
            generating_since=self._generating_since,
        )

    @property
    def generation_seconds(self) -> float:
        """Time from the start of generation to the latest generated image; 0 before the first."""
        return max(0.0, (self._generated_at - (self._generating_since or self.began_at)).total_seconds())

    # ── stopping ─────────────────────────────────────────────────────────────────────────────────────────

    def attach(self, generation: Generation) -> None:
        """Set the generation that `stop` interrupts. An earlier stop is applied now."""
        with self._state:
            self._generation = generation
            reason = self.stop_reason
        if reason is not None:
            generation.interrupt(want_checkpoints=reason is StopReason.DRAINING)

    def run(self, work: Callable[[], Answer]) -> Answer:
        """Return the result of `work`, which runs on a thread of its own.

        Raises GenerationInterruptedError if it is abandoned before it ends. Its thread continues.
        """
        executor = ThreadPoolExecutor(1, "attempt")
        future = executor.submit(copy_context().run, work)
        future.add_done_callback(self._ended.put)
        executor.shutdown(wait=False)
        if self._ended.get() is None:
            raise GenerationInterruptedError(f"task {self._task.id!r} was abandoned")
        try:
            return future.result()
        finally:
            del future  # an exception's traceback would refer to it, and keep the pictures in memory

    def abandon(self) -> None:
        """End `run` now, whatever its work waits for. Idempotent."""
        self._ended.put(None)

    def stop(self, reason: StopReason) -> None:
        """Interrupt the generation. A drain abandons work that has not begun to generate.

        The first reason is kept, except that a lost claim overrides all others.
        """
        with self._state:
            if self.stop_reason is None or reason is StopReason.CLAIM_LOST:
                self.stop_reason = reason
            generation = self._generation
        if generation is not None:
            generation.interrupt(want_checkpoints=reason is StopReason.DRAINING)
        elif reason is StopReason.DRAINING:
            self.abandon()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────

    def update(self, change: Callable[[Task], Task]) -> Task:
        """Write a change of the task.

        Writes are serialized, so that they do not conflict with each other.
        """
        with self._writing:
            return self._update(change)

    def renew(self, ttl: timedelta) -> None:
        """Renew the claim and write the progress; raises the errors of TaskStore.update.

        Does nothing once the attempt has ended, since the heartbeat may run after the final write.
        """
        now, snapshot, output = self._clock.now(), self.tracker.snapshot(), self.output

        def renewed(task: Task) -> Task:
            return task.renewed(
                self.claim, now, ttl, progress=snapshot.progress, previews=snapshot.previews, output=output
            )

        with self._writing:
            if self._task.claim is not None:
                self._on_progress(self._update(renewed))
                self.reported_seconds = sum(run.gpu_seconds for run in output.runs)
        self._written_at = self._seen_at = self._not_before = now
        self._written_images = len(output.images) + len(output.failed_images)
        self._written_phase = snapshot.progress.phase
        self._written_value = snapshot.progress.value
        if snapshot.previews:
            self._previewed_value = snapshot.progress.value

    def refresh(self) -> None:
        """Read the current task.

        Raises the errors of TaskStore.get, and ClaimLostError if another worker has claimed it.
        """
        with self._writing:
            if self._task.claim is not None:
                self._task = self._store.get(self._task.id)
                held = self._task.claim
                if held is None or not held.is_same_attempt_as(self.claim):
                    raise ClaimLostError(
                        f"task {self._task.id!r} is no longer held by {self.claim.worker_id!r}"
                    )
        self._seen_at = self._not_before = self._clock.now()

    def postpone(self, seconds: float) -> None:
        """Delay the next read and write, after an error or a result that needs no retry."""
        self._not_before = self._clock.now() + timedelta(seconds=seconds)

    def renewal_due_at(self, pace: Pace) -> datetime:
        """Return when the heartbeat should write next."""
        self._clamp_times(pace)
        due = self._written_at + timedelta(seconds=self._write_interval(pace))
        return max(due, self._not_before)

    def refresh_due_at(self, pace: Pace) -> datetime:
        """Return when the heartbeat should read next, unless it writes before."""
        self._clamp_times(pace)
        return max(self._seen_at + timedelta(seconds=pace.poll_seconds), self._not_before)

    def _clamp_times(self, pace: Pace) -> None:
        """Limit the stored times to the present, in case the clock was set back."""
        now = self._clock.now()
        self._written_at, self._seen_at = min(self._written_at, now), min(self._seen_at, now)
        self._not_before = min(self._not_before, now + timedelta(seconds=pace.renewal_seconds))

    def _update(self, change: Callable[[Task], Task]) -> Task:
        self._task = self._store.update(
            self._task.id, lambda task: warned(change(task), self.tracker.warnings), last_seen=self._task
        )
        return self._task

    def _write_interval(self, pace: Pace) -> float:
        phase, value = self.tracker.phase, self.tracker.value
        if phase is Phase.DENOISING and self._written_value == 0.0 and self._written_phase is not phase:
            return 0.0
        finished = len(self._images) + len(self._failed_images)
        if self._written_images < finished < len(self._missing):  # the final write stores the last image
            return pace.preview_seconds
        if self.tracker.newest_preview is not None and self._previewed_value is None:
            left = timedelta(seconds=self.tracker.seconds_left() or 0.0)
            due = self._written_at + timedelta(seconds=pace.preview_seconds)
            return 0.0 if self._clock.now() + left > due else pace.preview_seconds
        if phase is not self._written_phase or value - self._written_value >= pace.min_progress:
            return pace.progress_seconds
        return pace.renewal_seconds

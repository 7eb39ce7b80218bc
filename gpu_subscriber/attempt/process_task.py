"""Processing of one delivery, from claim to settlement.

    claim → generate → images stored → task completed → event published → acknowledge

A crash between any two steps is safe: the next delivery continues from the stored task. If that is
terminal, its event is published again, under the same id, and the delivery is acknowledged. A task
that its owner cancelled in the queue, or deleted, needs one read.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from common.domain.errors import (
    ClaimHeldError,
    ClaimLostError,
    DependencyUnavailableError,
    InvalidTransitionError,
    TaskNotFoundError,
)
from common.domain.task import Claim, Failure, Task
from common.observability.gpu_cost import GpuCost
from common.observability.tracing import current_traceparent, spanned
from common.ports import Clock, EventPublisher, TaskStore
from common.wire_formats.task_message import decode_task_message
from common.wire_formats.versions import UndecodableError
from gpu_subscriber.attempt.active_task import ActiveTask
from gpu_subscriber.attempt.attempt_record import AttemptRecord, recorded_attempt
from gpu_subscriber.attempt.checkpoints import CheckpointKeeper
from gpu_subscriber.attempt.claim_takeover import ClaimTakeover
from gpu_subscriber.attempt.deleted_tasks import DeletedTasks
from gpu_subscriber.attempt.heartbeat import Heartbeat
from gpu_subscriber.attempt.outcomes import (
    cancelled_or_handed_back,
    claimed_or_ended,
    failed_image,
    failure_of,
    finished,
    released_or_failed,
    settlement_of,
)
from gpu_subscriber.attempt.progress_events import ProgressEvents
from gpu_subscriber.attempt.timing_stats import TimingStats
from gpu_subscriber.dependency_retry import DependencyRetry
from gpu_subscriber.errors import (
    GenerationFailedError,
    GenerationInterruptedError,
    ObjectConflictError,
)
from gpu_subscriber.images.inputs import TaskInputs
from gpu_subscriber.images.storage import ImageStorage
from gpu_subscriber.ports import (
    Checkpoint,
    DeadLetters,
    Delivery,
    FailedRun,
    GeneratedImage,
    Generation,
    ImageGenerator,
    Settlement,
)

Ending = Callable[[Task], Task]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessTask:
    """Processes deliveries, several at a time, each on the calling thread."""

    worker_id: str
    claim_ttl: timedelta
    store: TaskStore
    generator: ImageGenerator
    inputs: TaskInputs
    images: ImageStorage
    checkpoints: CheckpointKeeper
    deleted_tasks: DeletedTasks
    events: EventPublisher
    progress_events: ProgressEvents
    dead_letters: DeadLetters
    heartbeat: Heartbeat
    dependency_retry: DependencyRetry
    claim_takeover: ClaimTakeover
    timing_stats: TimingStats
    clock: Clock
    gpu_cost: GpuCost

    def __call__(self, delivery: Delivery) -> Settlement:
        """Process a delivery and return its settlement, after all results are stored."""
        with recorded_attempt(delivery, self.clock, self.gpu_cost) as record:
            record.settlement = self._process(delivery, record)
            return record.settlement

    def _process(self, delivery: Delivery, record: AttemptRecord) -> Settlement:
        try:
            message = decode_task_message(delivery.body)
        except UndecodableError as error:
            return self._dead_letter(delivery, record, reason=error.reason)
        record.decoded(message.task_id)
        try:
            try:
                task = self._claim(message.task_id, record)
            except TaskNotFoundError:
                self.deleted_tasks.clean_up(delivery, message)
                raise
            if not task.status.is_terminal:
                task = self._attempt(task, record)
            record.ended(task)
            if task.status.is_terminal and not task.was_cancelled_in_queue:
                self.events.publish(task)
            if task.folder != message.folder:  # it has the id of the message's task, which was deleted
                self.deleted_tasks.clean_up(delivery, message)
        except TaskNotFoundError as error:
            record.result = error.code  # the task was deleted
            return Settlement.ACKNOWLEDGE
        except ClaimHeldError as error:
            record.claim_is_held(error.claim, worker_id=self.worker_id)
            record.result = error.code
            return Settlement.RETURN
        except (ClaimLostError, InvalidTransitionError, DependencyUnavailableError) as error:
            record.result = error.code
            return Settlement.RETURN
        return settlement_of(task)

    def _dead_letter(self, delivery: Delivery, record: AttemptRecord, *, reason: str) -> Settlement:
        record.result = "undecodable"
        try:
            self.dead_letters.publish(delivery, reason=reason)
        except DependencyUnavailableError:
            return Settlement.RETURN
        return Settlement.ACKNOWLEDGE

    def _claim(self, task_id: str, record: AttemptRecord) -> Task:
        attempt = current_traceparent()
        with spanned("claim"):
            try:
                task, before = self._claim_now(task_id, attempt)
            except ClaimHeldError as error:
                is_own = error.claim.worker_id == self.worker_id
                if is_own or not self.claim_takeover.wait_for_silence(task_id, error.claim):
                    raise
                task, before = self._claim_now(task_id, attempt, silent=error.claim)
        record.claimed(task, before=before)
        return task

    def _claim_now(
        self, task_id: str, traceparent: str | None, *, silent: Claim | None = None
    ) -> tuple[Task, Task]:
        """Claim or end the task; return it as it is now and as it was before."""
        found: list[Task] = []

        def claimed(task: Task) -> Task:
            now = self.clock.now()  # the read of the task has corrected it
            # `update` may retry: the last one is the task that the write was conditional on
            found.append(task)
            return claimed_or_ended(
                task, self.worker_id, now, self.claim_ttl, silent=silent, traceparent=traceparent
            )

        return self.store.update(task_id, claimed), found[-1]

    def _attempt(self, task: Task, record: AttemptRecord) -> Task:
        """Generate and store the images, and write the end of the attempt."""
        try:
            ended = self._generate_and_finish(task, record)
            self.checkpoints.attempt_ended(ended)
        finally:
            self.checkpoints.leave(task)
        self.images.remove_leftovers(task, ended)
        return ended

    def _generate_and_finish(self, task: Task, record: AttemptRecord) -> Task:
        active = ActiveTask(
            task,
            store=self.store,
            clock=self.clock,
            on_change=self.heartbeat.wake,
            on_progress=self.progress_events.progressed,
        )
        self.progress_events.started(task)
        with self.heartbeat.holding(active):
            ending = self._generate(task, active, record)
            try:
                with spanned("end attempt"):
                    ended = self.dependency_retry(lambda: active.update(ending))
            except DependencyUnavailableError:
                record.lost(reported_seconds=active.reported_seconds)
                raise
            except (ClaimLostError, InvalidTransitionError, TaskNotFoundError) as error:
                # The reported seconds of a deleted task were deleted with it.
                is_deleted = isinstance(error, TaskNotFoundError)
                record.lost(reported_seconds=0.0 if is_deleted else active.reported_seconds)
                self._remove_leftovers(task)
                raise
            self.timing_stats.task_ended(ended, generation_seconds=active.generation_seconds)
            return ended

    def _remove_leftovers(self, task: Task) -> None:
        """Remove this attempt's unreferenced objects after the task was taken over or deleted.

        Raises DependencyUnavailableError if some of a deleted task remain, or may.
        """
        try:
            stored = self.store.get(task.id)
        except TaskNotFoundError:
            stored = None
        if stored is None or stored.folder != task.folder:  # another task may have its id
            self.deleted_tasks.remove(task.id, task.folder)
        else:
            self.images.remove_leftovers(task, stored)

    def _generate(self, task: Task, active: ActiveTask, record: AttemptRecord) -> Ending:
        """Generate and store the images; return the change that ends the attempt."""
        try:
            failures = active.run(lambda: self._generate_and_store(task, active))
        except (GenerationFailedError, ObjectConflictError) as error:
            return self._release_or_fail(active, error)
        except DependencyUnavailableError as error:
            return (
                self._hand_back_or_cancel(active)
                if self.dependency_retry.is_cut_short
                else self._release_or_fail(active, error)
            )
        except GenerationInterruptedError:
            return self._hand_back_or_cancel(active)
        finally:
            record.generated(active.output.runs)
        now = self.clock.now()
        return partial(finished, claim=active.claim, now=now, output=active.output, failures=failures)

    def _hand_back_or_cancel(self, active: ActiveTask) -> Ending:
        now = self.clock.now()
        return partial(cancelled_or_handed_back, claim=active.claim, now=now, output=active.output)

    def _release_or_fail(
        self,
        active: ActiveTask,
        error: GenerationFailedError | ObjectConflictError | DependencyUnavailableError,
    ) -> Ending:
        return partial(
            released_or_failed,
            claim=active.claim,
            failure=failure_of(error),
            now=self.clock.now(),
            output=active.output,
        )

    def _generate_and_store(self, task: Task, active: ActiveTask) -> dict[int, Failure]:
        """Generate and store the images; return the failures by index."""
        inputs = self.inputs.of(task)
        generation = self.generator.start(task, active, self.checkpoints.checkpoints_of(task), inputs)
        with closing(generation):
            active.attach(generation)
            return self._store(active, generation)

    def _store(self, active: ActiveTask, generation: Generation) -> dict[int, Failure]:
        """Encode and upload each image while the GPU continues with the others.

        Returns the failures by index. If an image cannot be stored, the others are stopped, and their
        final reports awaited.
        """
        failures: dict[int, Failure] = {}
        trouble: ObjectConflictError | DependencyUnavailableError | None = None
        try:
            for piece in generation:
                match piece:
                    case GeneratedImage():
                        active.image_generated(piece)
                        self.timing_stats.image_generated(active.task, piece.times)
                        if trouble is None:
                            try:
                                active.image_stored(self.images.store(active.task, piece))
                            except (ObjectConflictError, DependencyUnavailableError) as error:
                                trouble = error
                                generation.interrupt(want_checkpoints=True)
                    case FailedRun():
                        failures[piece.index] = piece.failure
                        if not piece.failure.retryable:
                            active.image_failed(failed_image(piece.index, piece.failure))
                    case Checkpoint():
                        self.checkpoints.keep(active.task, piece)
        except GenerationInterruptedError:
            if trouble is None:
                raise
        if trouble is not None:
            try:
                raise trouble
            finally:
                del trouble  # its traceback would refer to itself, and keep the pictures in memory
        return failures

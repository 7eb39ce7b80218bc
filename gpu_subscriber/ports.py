"""Ports of the worker: its interfaces to infrastructure, with their errors.

TaskStore, EventPublisher and Clock are shared with the API and are in `common.ports`.
Implementations are in `adapters` and in `engine_host`, fakes in `tests/fakes`; one contract suite
runs on both.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from common.domain.provenance import DrawConditions
from common.domain.task import Failure, Phase, RunSeconds, Task
from common.domain.task_records import TaskWarning
from gpu_subscriber.engine.messages import NO_INPUTS, Inputs, RunTimes


class Settlement(StrEnum):
    """What to do with a delivery after processing."""

    ACKNOWLEDGE = "acknowledge"
    """Never deliver it again. Only if the stored task is terminal or was deleted."""
    RETURN = "return"
    """Deliver it again, to any worker, after the subscription's backoff."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One delivery of a message to this worker; the same message may be delivered again."""

    message_id: str
    body: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    subscription: str = ""
    """The subscription that delivered it."""
    delivery_attempt: int | None = None
    """The broker's delivery count. The domain counts attempts."""

    @property
    def is_first(self) -> bool:
        """Whether the broker has delivered this message to no worker before."""
        return self.delivery_attempt == 1


class DeliveryStream(Protocol):
    """An open subscription. It ends on `close`, or when the broker or the network ends it."""

    def close(self) -> None:
        """Accept no more deliveries, RETURN the waiting ones, finish the running ones.

        Does not block.
        """
        ...

    def wait_until_ended(self, timeout_seconds: float) -> bool:
        """Wait for the end.

        Returns whether all running deliveries were settled, and the settlements sent, in time.
        """
        ...

    @property
    def is_open(self) -> bool:
        """Whether deliveries can still arrive."""
        ...

    @property
    def ended_because(self) -> str | None:
        """The error that ended it; None while it runs and after `close`."""
        ...


class DeliverySource(Protocol):
    """Source of deliveries."""

    def open(
        self, process: Callable[[Delivery], Settlement], *, slots: int, on_end: Callable[[], None]
    ) -> DeliveryStream:
        """Start calling `process`, each delivery on its own thread, at most `slots` at once.

        The lease of a delivery is extended until `process` returns. `on_end` is called once, when
        the stream has ended for any reason.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedImage:
    """A generated image: `pixels` are height x width x 3 bytes, RGB, row by row."""

    index: int
    width: int
    height: int
    pixels: bytes
    gpu_seconds: float
    draw_conditions: DrawConditions
    resumed_at_step: int = 0
    times: RunTimes | None = None
    """The use of the device's time, if the engine reports it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The complete state of the run of image `index` after `step` steps, to resume it anywhere."""

    index: int
    step: int
    state: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRun:
    """Image `index` could not be generated in this attempt; the other images continue."""

    index: int
    failure: Failure


Piece = GeneratedImage | FailedRun | Checkpoint
"""The items that a generation yields."""


class ProgressListener(Protocol):
    """Receives the progress of a generation.

    Called on the engine's reading thread: must return at once.
    """

    def phase_changed(self, index: int, phase: Phase) -> None:
        """Image `index` has entered another phase."""
        ...

    def warned(self, warnings: tuple[TaskWarning, ...]) -> None:
        """The model does not follow all parameters of the task."""
        ...

    def step_done(self, index: int, step: int) -> None:
        """Image `index` has finished `step` denoising steps."""
        ...

    def preview_ready(self, index: int, step: int, jpeg: bytes) -> None:
        """A preview of image `index` is available."""
        ...


class Generation(Protocol):
    """The generation of one task's images."""

    def __iter__(self) -> Iterator[Piece]:
        """Yield each image when it has finished or failed, in any order, and checkpoints.

        Blocks only the caller. Raises GenerationInterruptedError, after the requested checkpoints,
        and GenerationFailedError if the whole attempt failed.
        """
        ...

    def interrupt(self, *, want_checkpoints: bool = False) -> None:
        """Stop every image at its next step. Thread-safe, idempotent, does not block."""
        ...

    def close(self) -> None:
        """Discard unfinished images. Must be called at the end; idempotent."""
        ...

    @property
    def runs(self) -> tuple[RunSeconds, ...]:
        """Return the device seconds so far of each image, finished or not. Thread-safe."""
        ...


class ImageGenerator(Protocol):
    """Generates images. Shared by all tasks of the worker, so that they share the GPU's steps."""

    def start(
        self,
        task: Task,
        listener: ProgressListener,
        checkpoints: Mapping[int, Checkpoint],
        inputs: Inputs = NO_INPUTS,
    ) -> Generation:
        """Start to generate all missing images of the task, from checkpoints if there are any.

        `inputs` are the pictures of the task's parameters.
        """
        ...


class InputReader(Protocol):
    """Storage of the pictures that callers uploaded for their tasks."""

    def read(self, object_name: str, *, max_bytes: int) -> bytes | None:
        """Return the object's bytes; None if it was deleted.

        Raises UnreadableImageError if it is larger than `max_bytes`, DependencyUnavailableError if
        the bucket is unavailable.
        """
        ...


class ImageWriter(Protocol):
    """Storage of finished images."""

    def write(self, object_name: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> None:
        """Store a whole object under an unused name.

        Writing the same bytes again is no error: an earlier attempt with an unknown outcome may
        have succeeded. Raises ObjectConflictError if the object has other bytes,
        DependencyUnavailableError if the bucket is unavailable.
        """
        ...

    def remove_attempts(self, folder: str, *, up_to: int, keep: Collection[str] = ()) -> int:
        """Remove the images of attempts 1 to `up_to` from a task's folder.

        Object names in `keep` are kept. Returns the number of removed images, possibly 0.

        Raises DependencyUnavailableError, possibly after removing some; a retry is safe.
        """
        ...


class CheckpointStore(Protocol):
    """Storage of the state of unfinished runs for the next attempt. Losing one only costs time.

    `folder` is the task's own. Every method raises DependencyUnavailableError if the store is
    unavailable.
    """

    def save(self, folder: str, checkpoint: Checkpoint) -> None:
        """Store a checkpoint in place of an earlier one of the same image."""
        ...

    def load(self, folder: str) -> Mapping[int, Checkpoint]:
        """Return the latest checkpoint of each image by index; oversized ones are omitted."""
        ...

    def discard(self, folder: str) -> None:
        """Delete all checkpoints of the folder, if any."""
        ...


class OwnPod(Protocol):
    """The pod this worker runs in."""

    def set_deletion_cost(self, cost: int) -> None:
        """Set the cost. Kubernetes first removes the pods with the lowest cost. Idempotent.

        Raises DependencyUnavailableError if the cluster is unavailable or refuses.
        """
        ...


class DeadLetters(Protocol):
    """Storage of deliveries that no worker can process."""

    def publish(self, delivery: Delivery, *, reason: str) -> None:
        """Store the message with the reason. Raises DependencyUnavailableError."""
        ...

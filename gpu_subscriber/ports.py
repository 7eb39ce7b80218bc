"""The doors through which the worker reaches the world: what it may expect, and which errors may come back.

TaskStore, EventPublisher and Clock are shared with the API and live in `common.ports`. Implementations live in
`adapters` and in `engine_client`, fakes in `tests/fakes`; one contract suite runs on both.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from common.domain.provenance import Circumstances
from common.domain.task import Failure, Phase, RunSeconds, Task
from common.domain.task_records import TaskWarning
from gpu_subscriber.engine.messages import RunTimes


class Settlement(StrEnum):
    """What to do with a delivery once the worker is through with it."""

    ACKNOWLEDGE = "acknowledge"
    """Never deliver it again. Only when the stored task is terminal or gone."""
    RETURN = "return"
    """Deliver it again, to whomever, after the subscription's back-off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One hand-over of a message to this worker; the same message may be handed over again."""

    message_id: str
    body: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    subscription: str = ""
    """Where it came from."""
    delivery_attempt: int | None = None
    """How often the broker says it has delivered this message. For the log only: the domain counts attempts."""


class DeliveryStream(Protocol):
    """An open subscription. It ends when told to, and when the broker or the network ends it."""

    def close(self) -> None:
        """Take no more deliveries, RETURN those that wait, let the running ones finish. Does not block."""
        ...

    def wait_until_ended(self, timeout_seconds: float) -> bool:
        """Whether it ended in time, with every running delivery settled and every settlement sent."""
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
    """Where deliveries come from."""

    def open(
        self, process: Callable[[Delivery], Settlement], *, slots: int, on_end: Callable[[], None]
    ) -> DeliveryStream:
        """Start calling `process`, each delivery on a thread of its own, never more than `slots` at once.

        The lease of a delivery is kept until `process` returns. `on_end` is called once, when the stream has
        ended for any reason.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnImage:
    """A finished picture: `pixels` are height x width x 3 bytes, RGB, row by row."""

    index: int
    width: int
    height: int
    pixels: bytes
    gpu_seconds: float
    circumstances: Circumstances
    resumed_at_step: int = 0
    times: RunTimes | None = None
    """Where the device's time went, where the engine tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """The complete state of the Run of image `index` after `step` steps, enough to go on elsewhere."""

    index: int
    step: int
    state: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedRun:
    """Image `index` could not be generated in this attempt; the others go on."""

    index: int
    failure: Failure


Piece = DrawnImage | FailedRun | Checkpoint
"""What a generation yields."""


class ProgressListener(Protocol):
    """Who is told how far a drawing is. Called on the engine's reading thread: must return at once."""

    def phase_changed(self, index: int, phase: Phase) -> None:
        """Image `index` entered another phase."""
        ...

    def warned(self, warnings: tuple[TaskWarning, ...]) -> None:
        """The model does not obey all of the task's parameters."""
        ...

    def step_done(self, index: int, step: int) -> None:
        """Image `index` has `step` denoising steps behind it."""
        ...

    def preview_ready(self, index: int, step: int, jpeg: bytes) -> None:
        """What image `index` looks like so far."""
        ...


class Generation(Protocol):
    """The images of one task being drawn."""

    def __iter__(self) -> Iterator[Piece]:
        """Each image as soon as it is finished or has failed, in any order, and checkpoints in between.

        Blocks the caller only. Raises GenerationInterruptedError, after the checkpoints that were asked for, and
        GenerationFailedError when the whole attempt failed.
        """
        ...

    def interrupt(self, *, want_checkpoints: bool = False) -> None:
        """Stop every image at its next step. From any thread, any number of times; does not block."""
        ...

    def close(self) -> None:
        """Give up what is not drawn yet. Must be called at the end; twice is no error."""
        ...

    @property
    def runs(self) -> tuple[RunSeconds, ...]:
        """The device seconds spent so far, finished or not, for each image that is generated. From any thread."""
        ...


class ImageGenerator(Protocol):
    """Draws. One for all tasks of the worker, so that they share the GPU's steps."""

    def start(
        self, task: Task, listener: ProgressListener, checkpoints: Mapping[int, Checkpoint]
    ) -> Generation:
        """Begin to draw every missing image of the task, going on from a checkpoint where there is one."""
        ...


class ImageWriter(Protocol):
    """Where finished images go."""

    def write(self, object_name: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> None:
        """Store a whole object under a name that was never used.

        The same bytes again are no error: a first try whose outcome is unknown may have arrived. Raises
        ObjectConflictError when other bytes lie there, DependencyUnavailableError when the bucket does not answer.
        """
        ...

    def remove_attempts(self, folder: str, *, up_to: int, keep: Collection[str] = ()) -> int:
        """Remove the images of attempts 1 to `up_to` from a task's folder, but for the object names in `keep`.

        Returns how many were removed. None is no error.

        Raises DependencyUnavailableError, perhaps after some are gone, and may then be called again.
        """
        ...


class CheckpointStore(Protocol):
    """Where the state of unfinished Runs waits for the next attempt. Losing one costs time, never correctness.

    `folder` is the task's own. Every method raises DependencyUnavailableError when the store does not answer.
    """

    def save(self, folder: str, checkpoint: Checkpoint) -> None:
        """Keep it in place of an earlier one of the same image."""
        ...

    def load(self, folder: str) -> Mapping[int, Checkpoint]:
        """The latest checkpoint of each image that has one, by index; none that is larger than the store reads."""
        ...

    def discard(self, folder: str) -> None:
        """Forget them all; when there are none, that is no error."""
        ...


class OwnPod(Protocol):
    """The pod this worker runs in."""

    def say_removal_cost(self, cost: int) -> None:
        """Of several pods those with the lowest cost are removed first, when fewer are needed. Idempotent.

        Raises DependencyUnavailableError when the cluster does not answer, or refuses.
        """
        ...


class DeadLetters(Protocol):
    """Where deliveries go that nobody can process."""

    def publish(self, delivery: Delivery, *, reason: str) -> None:
        """Keep the message with the reason why it was given up. Raises DependencyUnavailableError."""
        ...

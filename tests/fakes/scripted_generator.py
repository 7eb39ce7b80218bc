"""ScriptedGenerator: an ImageGenerator that follows a test's script, on the calling thread."""

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from common.domain.task import Phase, RunSeconds, Task
from gpu_subscriber.engine.messages import NO_INPUTS, Inputs
from gpu_subscriber.errors import GenerationInterruptedError
from gpu_subscriber.ports import Checkpoint, GeneratedImage, Piece, ProgressListener
from tests.factories import draw_conditions

Act = Callable[["ScriptedGeneration"], Iterator[Piece]]


@dataclass(slots=True)
class ScriptedGeneration:
    """One generation: its script runs when the generation is iterated."""

    task: Task
    listener: ProgressListener
    checkpoints: Mapping[int, Checkpoint]
    script: Act
    inputs: Inputs = field(default_factory=dict)
    seconds: dict[int, float] = field(default_factory=dict)
    told_to_stop: threading.Event = field(default_factory=threading.Event)
    wants_checkpoints: bool = False
    closed: bool = False

    def __iter__(self) -> Iterator[Piece]:
        yield from self.script(self)

    def spend(self, index: int, seconds: float) -> None:
        """Add device time to an image."""
        self.seconds[index] = self.seconds.get(index, 0.0) + seconds

    @property
    def runs(self) -> tuple[RunSeconds, ...]:
        return tuple(
            RunSeconds(index=index, gpu_seconds=seconds, resumed=index in self.checkpoints)
            for index, seconds in self.seconds.items()
        )

    def interrupt(self, *, want_checkpoints: bool = False) -> None:
        self.told_to_stop.set()
        self.wants_checkpoints = self.wants_checkpoints or want_checkpoints

    @property
    def interrupted(self) -> bool:
        return self.told_to_stop.is_set()

    def close(self) -> None:
        self.closed = True


@dataclass(slots=True)
class ScriptedGenerator:
    """Follows `script`; the default generates every image in one go."""

    script: Act = field(default_factory=lambda: draw_everything)
    generations: list[ScriptedGeneration] = field(default_factory=list)

    def start(
        self,
        task: Task,
        listener: ProgressListener,
        checkpoints: Mapping[int, Checkpoint],
        inputs: Inputs = NO_INPUTS,
    ) -> ScriptedGeneration:
        generation = ScriptedGeneration(task, listener, checkpoints, self.script, inputs=inputs)
        self.generations.append(generation)
        return generation


def draw_everything(generation: ScriptedGeneration) -> Iterator[Piece]:
    """Yield every step of every missing image, then the image, for half a GPU second each.

    Stops when interrupted.
    """
    parameters = generation.task.parameters
    for index in generation.task.missing_images:
        generation.listener.phase_changed(index, Phase.DENOISING)
        for step in range(1, parameters.steps + 1):
            if generation.interrupted:
                raise GenerationInterruptedError("scripted")
            generation.listener.step_done(index, step)
        generation.spend(index, 0.5)
        yield grey_image(generation.task, index)


def grey_image(task: Task, index: int) -> GeneratedImage:
    """Return an image of the task's size, the same for the same index."""
    width, height = task.parameters.width, task.parameters.height
    pixels = bytes([100 + index]) * (width * height * 3)
    return GeneratedImage(
        index=index,
        width=width,
        height=height,
        pixels=pixels,
        gpu_seconds=0.5,
        draw_conditions=draw_conditions(),
    )

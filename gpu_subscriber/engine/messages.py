"""Messages between the worker's two processes over their pipe. Small, frozen, free of torch.

    parent → engine    Start · Interrupt · Shutdown
    engine → parent    EngineReady · EngineMeasured · PhaseChanged · RunWarned · StepDone · PreviewReady ·
                       CheckpointReady · CheckpointRefused · ImageReady · RunInterrupted · RunFailed

Every Start is answered by exactly one of ImageReady, RunInterrupted or RunFailed, unless the
process dies. A Run is one image. Its `run_id` is unique within the life of the worker.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.domain.parameters import GenerationParameters
from common.domain.provenance import DrawConditions
from common.domain.task import Failure, Lane, Phase
from common.domain.task_records import TaskWarning
from common.domain.worker_report import NO_FACTORS, BrokenModel, StepFactors

MAX_CHECKPOINT_BYTES = 64 * 1024 * 1024
"""Larger checkpoints are neither made nor read.

The latents of 4096² with a third-order history take a third of it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A decoded picture, height x width x channels bytes, row by row.

    RGB has three channels; a mask has one, in which 255 marks the parts to generate again.
    """

    width: int
    height: int
    pixels: bytes

    @property
    def channels(self) -> int:
        """3 for RGB, 1 for a mask."""
        return len(self.pixels) // (self.width * self.height)


Inputs = Mapping[str, Picture]
"""The pictures of a task by the names of their parameters: `image`, `mask_image` …"""
NO_INPUTS: Inputs = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Draw image `index` of a task.

    `queued_at` (POSIX seconds) orders Runs of one lane, oldest first. With `checkpoint`, the Run
    resumes where it stopped. A checkpoint that does not fit is refused, and the Run starts over.
    `inputs` have the size of the image, except for `reference_image`.
    """

    run_id: str
    parameters: GenerationParameters
    index: int
    lane: Lane
    queued_at: float
    checkpoint: bytes | None = None
    inputs: Inputs = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupt:
    """Stop this Run at the next step boundary. Unknown and finished Runs are ignored."""

    run_id: str
    want_checkpoint: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Shutdown:
    """Interrupt every Run and exit 0."""

    want_checkpoints: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTimes:
    """Where a Run's time went, in seconds of the device: a batch's time divided by its Runs."""

    preparing_seconds: float
    stepping_seconds: float
    decoding_seconds: float
    steps: int
    """Steps taken by this engine; fewer than requested when the Run resumed."""
    shared_by: float
    """Mean number of Runs that shared a step."""

    @property
    def step_seconds(self) -> float:
        """One step's share of time; `steps` must not be 0."""
        return self.stepping_seconds / self.steps

    def seconds_of(self, steps: int) -> float:
        """Return the time of a whole image of `steps` steps, all taken here."""
        return self.preparing_seconds + steps * self.step_seconds + self.decoding_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUpTimes:
    """Measured time of an image of a model's default size, drawn alone. Serialized as JSON."""

    model: str
    pass_pixels: int
    """Width × height × forwards per step."""
    steps: int
    """Steps of a whole image by default."""
    work_units: float
    """Work units of a whole image."""
    times: RunTimes
    factors: StepFactors = NO_FACTORS
    """Of steps with LoRAs or with a control network."""

    @classmethod
    def of(
        cls, parameters: GenerationParameters, times: RunTimes, factors: StepFactors = NO_FACTORS
    ) -> "WarmUpTimes":
        """Return the times for an image with these parameters."""
        return cls(
            model=parameters.model,
            pass_pixels=parameters.pass_pixels,
            steps=parameters.steps,
            work_units=parameters.image_work_units,
            times=times,
            factors=factors,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineReady:
    """The engine is ready, with what it can serve.

    Sent again when a model breaks, recovers or is measured. `slots`: how many Runs may share a
    step.
    """

    models: tuple[str, ...]
    device: str
    dtype: str
    slots: int
    versions: dict[str, str]
    """Versions of the software that affects pixels, by package name."""
    warm_up: WarmUpTimes | None = None
    """Times of the model that was loaded last; None without a measurement."""
    broken: tuple[BrokenModel, ...] = ()
    """Entries of `models` that could not be loaded or warmed up."""
    exclusive: tuple[str, ...] = ()
    """Entries of `models` that generate one image at a time, with no other Run in progress."""

    @property
    def serves_any(self) -> bool:
        """Whether any model can be served."""
        return len(self.broken) < len(self.models)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepMeasured:
    """One denoising step of one batch: how many images shared it, and how long it took."""

    model: str
    batch: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineMeasured:
    """The engine's work since the last such message.

    `busy_seconds` include loading, preparing and decoding.
    """

    steps: tuple[StepMeasured, ...]
    busy_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseChanged:
    """The Run entered another phase."""

    run_id: str
    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class RunWarned:
    """The model does not obey all of the Run's parameters."""

    run_id: str
    warnings: tuple[TaskWarning, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """`step` of `steps` denoising steps are done; the first report of a resumed Run starts above 1.

    `gpu_seconds` is the Run's share so far, without steps whose time the device has not reported
    yet.
    """

    run_id: str
    step: int
    steps: int
    gpu_seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewReady:
    """A small JPEG of the predicted clean image after `step` steps."""

    run_id: str
    step: int
    jpeg: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointReady:
    """The Run's complete state after `step` steps, enough to resume at the same step elsewhere."""

    run_id: str
    step: int
    checkpoint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRefused:
    """The checkpoint in the Start is damaged or does not fit: the Run starts over."""

    run_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageReady:
    """The finished image: `pixels` are height x width x 3 bytes, RGB, row by row.

    `gpu_seconds` is this Run's share of the device's working time: a batch's time divided by its
    Runs.
    """

    run_id: str
    width: int
    height: int
    pixels: bytes
    gpu_seconds: float
    draw_conditions: DrawConditions
    resumed_at_step: int = 0
    times: RunTimes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunInterrupted:
    """The Run stopped as requested, after `step` steps."""

    run_id: str
    step: int
    gpu_seconds: float
    checkpoint: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailed:
    """The Run could not be drawn; the engine and its other Runs continue."""

    run_id: str
    failure: Failure
    gpu_seconds: float


ToEngine = Start | Interrupt | Shutdown
RunReport = (
    PhaseChanged
    | RunWarned
    | StepDone
    | PreviewReady
    | CheckpointReady
    | CheckpointRefused
    | ImageReady
    | RunInterrupted
    | RunFailed
)
FromEngine = EngineReady | EngineMeasured | RunReport

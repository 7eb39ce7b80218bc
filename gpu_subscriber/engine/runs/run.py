"""A Run: one image being denoised. Mutable on purpose: only the engine thread accesses it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from common.domain.provenance import AppliedLora, Environment
from common.domain.task_records import TaskWarning
from gpu_subscriber.engine.batches.batch_planning import BatchKey, Candidate
from gpu_subscriber.engine.messages import RunTimes, Start
from gpu_subscriber.engine.runs.host_copies import without_waiting
from gpu_subscriber.engine.runs.run_history import RunHistory

AfterStep = Callable[["Denoising"], torch.Tensor]
"""Returns the latents after a step of the sampler, changed."""
Rows = dict[str, torch.Tensor]
"""What a network receives besides latents and timesteps, by name, each with a row per latent."""
Batch = dict[str, Any]
"""The same for all rows of a forward pass, with what the rows have in common."""


@dataclass(slots=True, kw_only=True, eq=False, weakref_slot=True)
class Denoising:
    """The state of a Run between two steps.

    - `latents`: (1, …) on the device, in the denoiser's shape, scaled as the sampler expects
      (`init_noise_sigma` applied).
    - `timesteps`: the sampler's own, (T,) on the CPU, so that reading one never waits for the
      device.
    - `device_timesteps`: the same in float32 on the device, for the network.
    - `branches`: what the network receives, for the negative prompt first, then for the prompt; only
      for the prompt without classifier-free guidance.
    - `size`: (height, width) in pixels, as generated. The image is resized to `requested_size`.
    """

    latents: torch.Tensor
    scheduler: Any
    timesteps: torch.Tensor
    device_timesteps: torch.Tensor
    branches: tuple[Rows, ...]
    guidance_scale: float
    guidance_rescale: float
    size: tuple[int, int]
    requested_size: tuple[int, int]
    generator: torch.Generator
    step_arguments: dict[str, Any]
    controlnet: str | None
    """The control network whose image is among the rows."""
    fingerprint: str
    """Digest of the weights: a checkpoint of other weights is refused."""
    run_history: RunHistory = field(default_factory=RunHistory)
    warnings: tuple[TaskWarning, ...] = ()
    """The parameters that the model does not obey."""
    loras: tuple[AppliedLora, ...] = ()
    """The LoRAs that apply in each step."""
    after_step: AfterStep | None = None
    step_index: int = 0
    pristine: dict[str, Any] = field(init=False)
    """The scheduler's attributes before the first step; differences are the solver's history."""

    def __post_init__(self) -> None:
        # Samplers replace their tensors, but some append to their lists.
        self.pristine = {
            name: list(value) if isinstance(value, list) else value
            for name, value in vars(self.scheduler).items()
        }

    @property
    def is_done(self) -> bool:
        """Whether no step is left."""
        return self.step_index >= len(self.timesteps)

    @property
    def timestep(self) -> torch.Tensor:
        """The sampler's current timestep, a 0-dim CPU tensor as the stock loop passes it."""
        return self.timesteps[self.step_index]

    @property
    def model_input(self) -> torch.Tensor:
        """The latents as the network expects them: scaled, where the scheduler has `scale_model_input`."""
        scale = getattr(self.scheduler, "scale_model_input", None)
        return self.latents if scale is None else scale(self.latents, self.timestep)

    def advance(self, prediction: torch.Tensor) -> None:
        """Take one sampler step with the guided prediction, of the latents' shape."""
        with without_waiting(self.scheduler, self.latents.device):
            self.latents = self.scheduler.step(
                prediction, self.timestep, self.latents, **self.step_arguments, return_dict=False
            )[0]
        self.step_index += 1
        if self.after_step is not None:
            self.latents = self.after_step(self)


@dataclass(slots=True)
class Stopwatch:
    """Where a Run's time goes, in seconds of the device. Filled while the Run is drawn."""

    preparing_seconds: float = 0.0
    stepping_seconds: float = 0.0
    decoding_seconds: float = 0.0
    steps: int = 0
    sharers: int = 0

    def prepared(self, seconds: float) -> None:
        """Record a part of the time before the first step."""
        self.preparing_seconds += seconds

    def step_taken(self, seconds: float, *, shared_by: int) -> None:
        """Record one step of a batch of `shared_by` Runs, which took `seconds` in all."""
        self.stepping_seconds += seconds / shared_by
        self.steps += 1
        self.sharers += shared_by

    def whole_image_done(self, seconds: float, *, steps: int) -> None:
        """Record an image drawn in one call, whose phases cannot be timed separately."""
        self.stepping_seconds, self.steps, self.sharers = seconds, steps, steps

    @property
    def times(self) -> RunTimes:
        """The recorded times."""
        return RunTimes(
            preparing_seconds=self.preparing_seconds,
            stepping_seconds=self.stepping_seconds,
            decoding_seconds=self.decoding_seconds,
            steps=self.steps,
            shared_by=self.sharers / max(1, self.steps),
        )


@dataclass(slots=True, kw_only=True, eq=False)
class Run:
    """One image in progress: its request, progress and cost.

    `denoising` and `environment`, in which the steps are taken, are None until prepared.
    """

    start: Start
    candidate: Candidate
    denoising: Denoising | None = None
    environment: Environment | None = None
    resumed_at_step: int = 0
    gpu_seconds: float = 0.0
    stopwatch: Stopwatch = field(default_factory=Stopwatch)
    steps_done: int = 0
    """Steps done, on the scale of `computed_steps`, as reported."""
    began_at: float = 0.0
    previewed_at: float | None = None
    checkpointed_at: float = 0.0
    is_regenerated: bool = False
    """Whether the first image was bad and the Run started over."""

    @classmethod
    def of(cls, start: Start, *, key: BatchKey, now: float, arrival: int) -> "Run":
        """Return the Run of a Start that has just arrived."""
        candidate = Candidate(
            run_id=start.run_id,
            key=key,
            lane=start.lane,
            queued_at=start.queued_at,
            arrived_at=now,
            arrival=arrival,
            loras=tuple(sorted(start.parameters.loras, key=lambda lora: lora.name)),
        )
        return cls(start=start, candidate=candidate)

    @property
    def run_id(self) -> str:
        return self.start.run_id

    @property
    def seed(self) -> int:
        """The seed of this one image."""
        return self.start.parameters.seed_of(self.start.index)

    def restart(self) -> None:
        """Restart from the first step by the seed alone: a checkpoint may contain the fault."""
        self.start = replace(self.start, checkpoint=None)
        self.denoising = self.previewed_at = None
        self.steps_done = self.resumed_at_step = 0
        self.stopwatch = Stopwatch()
        self.is_regenerated = True

    def count_steps(self) -> int:
        """Set `steps_done` from the sampler's position and return it.

        A sampler may take one step more than requested (PNDM does): reports are scaled to the
        parameters' `computed_steps`.
        """
        state, asked = self.denoising, self.start.parameters.computed_steps
        if state is not None and len(state.timesteps):
            self.steps_done = -(-state.step_index * asked // len(state.timesteps))
        return self.steps_done

"""Runs that start from a picture, and Runs that keep the parts of it outside a mask.

Equal to diffusers' image-to-image and inpainting pipelines: the picture is encoded before the noise
is drawn, the first steps are skipped, and the picture is noised to the level of the first step that
is left. All of it happens in `prepare`, so such a Run shares steps with any other. A checkpoint
contains none of it: the next worker prepares the same picture again.
"""

from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import retrieve_latents
from torch.nn.functional import interpolate

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.errors import MissingInputError
from gpu_subscriber.engine.messages import Inputs
from gpu_subscriber.engine.runs.run import AfterStep, Denoising, Rows

_WHITE = 0.5
"""The smallest value of a mask that counts as white."""


class ImageEncoder(Protocol):
    """What a family states about its latents."""

    denoiser: Any
    device: torch.device

    def encode_image(self, pixels: torch.Tensor) -> Any: ...

    def scaled(self, latents: torch.Tensor) -> torch.Tensor: ...

    def packed(self, grid: torch.Tensor) -> torch.Tensor: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Beginning:
    """How a Run begins."""

    latents: torch.Tensor
    after_step: AfterStep | None = None
    rows: Rows = field(default_factory=dict)
    """What the denoiser receives of the picture in each step."""


class Starting(Protocol):
    """A picture that a Run starts from."""

    def begun(
        self, noise: torch.Tensor, scheduler: Any, timesteps: torch.Tensor, generator: torch.Generator
    ) -> Beginning: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptParts:
    """Restores the parts of a picture outside the mask after each step, at the next step's noise level.

    All tensors have the shape of the denoiser's latents; `mask` is 1 where the picture is generated
    again.
    """

    clean: torch.Tensor
    noise: torch.Tensor
    mask: torch.Tensor

    def __call__(self, state: Denoising) -> torch.Tensor:
        """Return the latents with the parts restored."""
        kept = self.clean
        if not state.is_done:
            kept = noised(kept, self.noise, state.scheduler, state.timesteps[state.step_index :])
        return (1 - self.mask) * kept + self.mask * state.latents


@dataclass(frozen=True, slots=True, kw_only=True)
class StartingImage:
    """An encoded picture and its mask, in the shape of the denoiser's latents."""

    clean: torch.Tensor
    mask: torch.Tensor | None
    strength: float | None
    encoding: Any
    """The autoencoder's output."""

    @classmethod
    def encoded(
        cls,
        encoder: ImageEncoder,
        parameters: GenerationParameters,
        inputs: Inputs,
        generator: torch.Generator,
    ) -> Self | None:
        """Encode the picture of a task; None if it has none.

        An autoencoder with a distribution of latents draws from the generator.
        """
        if parameters.image is None:
            return None
        encoding = encoder.encode_image(image_of(encoder, inputs))
        latents = retrieve_latents(encoding, generator=generator).to(encoder.denoiser.dtype)
        grid, mask = encoder.scaled(latents), None
        if parameters.mask_image is not None:
            white = white_of("mask_image", inputs)
            small = interpolate(white, size=grid.shape[-2:]).to(grid)
            mask = encoder.packed(small.expand_as(grid).contiguous())
            grid = grid.contiguous()  # as in the stock calls: convolutions round by the memory layout
        return cls(clean=encoder.packed(grid), mask=mask, strength=parameters.strength, encoding=encoding)

    def begun(
        self, noise: torch.Tensor, scheduler: Any, timesteps: torch.Tensor, generator: torch.Generator
    ) -> Beginning:
        """Return how a Run with this picture begins before the first of these timesteps."""
        if self.mask is None:
            return Beginning(latents=noised(self.clean, noise, scheduler, timesteps))
        if self.strength == 1.0:
            latents = initial_latents(noise, scheduler)
        else:
            latents = noised(self.clean, noise, scheduler, timesteps)
        # The stock calls also encode the masked picture, for networks that read it. Samplers and
        # decoders draw from the generator after that.
        retrieve_latents(self.encoding, generator=generator)
        return Beginning(latents=latents, after_step=KeptParts(clean=self.clean, noise=noise, mask=self.mask))


def initial_latents(noise: torch.Tensor, scheduler: Any) -> torch.Tensor:
    """Return the latents of a Run that starts from noise alone."""
    latents: torch.Tensor = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    return latents


def noised(clean: torch.Tensor, noise: torch.Tensor, scheduler: Any, timesteps: torch.Tensor) -> torch.Tensor:
    """Return the clean latents at the noise level of the first of these timesteps."""
    if hasattr(scheduler, "scale_noise"):
        flow: torch.Tensor = scheduler.scale_noise(clean, timesteps[:1], noise)
        return flow
    on_cpu = getattr(scheduler, "alphas_cumprod", None)
    diffused: torch.Tensor = scheduler.add_noise(clean, noise, timesteps[:1])
    if on_cpu is not None:
        # `add_noise` moves it to the device, where reading it in a step would wait for the device.
        scheduler.alphas_cumprod = on_cpu
    return diffused


def image_of(encoder: ImageEncoder, inputs: Inputs) -> torch.Tensor:
    """Return the task's picture as the autoencoder reads it: (1, 3, H, W) in [-1, 1], on the device."""
    return pixels_of("image", inputs).to(encoder.device) * 2 - 1


def white_of(name: str, inputs: Inputs) -> torch.Tensor:
    """Return a mask, 1 where it is white and 0 elsewhere: (1, 1, H, W), float32 on the CPU."""
    return (pixels_of(name, inputs) >= _WHITE).float()


def pixels_of(name: str, inputs: Inputs) -> torch.Tensor:
    """Return a picture in [0, 1]: (1, channels, H, W), float32 on the CPU."""
    picture = inputs.get(name)
    if picture is None:
        raise MissingInputError(f"`{name}` was not delivered to the engine")
    pixels = torch.frombuffer(bytearray(picture.pixels), dtype=torch.uint8)
    grid = pixels.view(1, picture.height, picture.width, picture.channels).permute(0, 3, 1, 2)
    return grid.float() / 255

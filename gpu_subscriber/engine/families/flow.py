"""What the families of flow-matching transformers have in common: the schedule, and packed latents."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from cachetools import LRUCache
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from diffusers.utils.torch_utils import randn_tensor

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.models.samplers import make_scheduler
from gpu_subscriber.engine.runs.run import Rows

_CACHED_SIZES = 16


class FlowFamily(GuidedFamily):
    """A family whose noise levels shift with the image's size, over a grid of latents."""

    def skipped_steps(self, parameters: GenerationParameters) -> int:
        """Round down, where the calls of diffusion models round the steps that are left."""
        left = min(parameters.steps * (parameters.strength or 1.0), parameters.steps)
        return int(parameters.steps - left)

    def tokens(self, noise: torch.Tensor) -> int:
        """Return how many tokens the denoiser makes of a Run's latents."""
        patch: int = self.denoiser.config.patch_size
        return noise.shape[-2] * noise.shape[-1] // patch**2

    def sigmas(self, steps: int, config: Any) -> Sequence[float] | None:
        """Return the noise levels before the shift; None for the scheduler's own."""
        return None

    def shift(self, tokens: int, steps: int, config: Any) -> float:
        """Return `mu`, the shift of the noise levels, from the scheduler's configuration."""
        mu: float = calculate_shift(
            tokens,
            config.get("base_image_seq_len", 256),
            config.get("max_image_seq_len", 4096),
            config.get("base_shift", 0.5),
            config.get("max_shift", 1.15),
        )
        return mu

    def schedule(self, parameters: GenerationParameters, noise: torch.Tensor) -> Any:
        """Return a new scheduler with the family's noise levels, shifted if it asks for that."""
        steps = parameters.steps
        scheduler = make_scheduler(parameters.sampler, self.pipeline.scheduler, steps=steps)
        config = scheduler.config
        sigmas = self.sigmas(steps, config)
        levels: dict[str, Any] = {"num_inference_steps": steps} if sigmas is None else {"sigmas": sigmas}
        if config.get("use_dynamic_shifting"):
            levels["mu"] = self.shift(self.tokens(noise), steps, config)
        scheduler.set_timesteps(**levels, device="cpu")
        return scheduler


class PackedFlowFamily(FlowFamily):
    """A flow family that packs 2 x 2 latents into one token: latents are (1, tokens, 4 C)."""

    @cached_property
    def cached_by_size(self) -> LRUCache[Any, Rows]:
        """A cache for the positions of tokens, which are the same in every step and Run of one size."""
        return LRUCache(_CACHED_SIZES)

    def tokens(self, noise: torch.Tensor) -> int:
        """Return the length of the sequence."""
        return noise.shape[1]

    def sigmas(self, steps: int, config: Any) -> Sequence[float] | None:
        """Return evenly spaced noise levels, from noise to the last step's length."""
        return None if config.get("use_flow_sigmas") else evenly_spaced(steps)

    def noise(
        self, parameters: GenerationParameters, generator: torch.Generator, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return seeded noise, drawn as a grid and packed."""
        height, width = (side // self.pipeline.vae_scale_factor for side in self.generated_size(parameters))
        shape = (1, self.denoiser.config.in_channels // 4, height, width)
        return self.packed(randn_tensor(shape, generator=generator, device=self.device, dtype=dtype))

    def packed(self, grid: torch.Tensor) -> torch.Tensor:
        """Return a grid as tokens."""
        packed: torch.Tensor = self.pipeline._pack_latents(grid, *grid.shape)
        return packed

    def unpacked(self, latents: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return the packed latents as a grid."""
        grid: torch.Tensor = self.pipeline._unpack_latents(latents, *size, self.pipeline.vae_scale_factor)
        return grid

    def grid_size(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the height and width of an image in tokens."""
        height, width = (side // self.pipeline.vae_scale_factor // 2 for side in size)
        return height, width


def evenly_spaced(steps: int) -> Any:
    """Return noise levels from 1 to the length of the last step, as an array."""
    return np.linspace(1.0, 1 / steps, steps)

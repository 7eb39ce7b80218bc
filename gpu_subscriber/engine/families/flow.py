"""What the families of flow-matching transformers have in common: the schedule, and packed latents."""

from typing import Any

import numpy as np
import torch
from diffusers.pipelines.flux.pipeline_flux import calculate_shift
from diffusers.utils.torch_utils import randn_tensor

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.models.samplers import make_scheduler


class FlowFamily(GuidedFamily):
    """A family whose noise levels shift with the image's size, over a grid of latents."""

    def tokens(self, noise: torch.Tensor) -> int:
        """Return how many tokens the denoiser makes of a Run's latents."""
        patch: int = self.denoiser.config.patch_size
        return noise.shape[-2] * noise.shape[-1] // patch**2

    def sigmas(self, steps: int) -> np.ndarray | None:
        """Return the noise levels before the shift; None for the scheduler's own."""
        return None

    def shift(self, noise: torch.Tensor, config: Any) -> float:
        """Return `mu`, the shift of the noise levels, from the scheduler's configuration."""
        mu: float = calculate_shift(
            self.tokens(noise),
            config.get("base_image_seq_len", 256),
            config.get("max_image_seq_len", 4096),
            config.get("base_shift", 0.5),
            config.get("max_shift", 1.15),
        )
        return mu

    def schedule(self, parameters: GenerationParameters, noise: torch.Tensor) -> Any:
        """Return a new scheduler with the family's noise levels, shifted if it asks for that."""
        scheduler = make_scheduler(parameters.sampler, self.pipeline.scheduler, steps=parameters.steps)
        config = scheduler.config
        levels: dict[str, Any] = {"sigmas": self.sigmas(parameters.steps)}
        if levels["sigmas"] is None or config.get("use_flow_sigmas"):
            levels = {"num_inference_steps": parameters.steps}
        if config.get("use_dynamic_shifting"):
            levels["mu"] = self.shift(noise, config)
        scheduler.set_timesteps(**levels, device="cpu")
        return scheduler


class PackedFlowFamily(FlowFamily):
    """A flow family that packs 2 x 2 latents into one token: latents are (1, tokens, 4 C)."""

    def tokens(self, noise: torch.Tensor) -> int:
        """Return the length of the sequence."""
        return noise.shape[1]

    def sigmas(self, steps: int) -> np.ndarray | None:
        """Return evenly spaced noise levels, from noise to the last step's length."""
        return np.linspace(1.0, 1 / steps, steps)

    def noise(
        self, parameters: GenerationParameters, generator: torch.Generator, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return seeded noise, drawn as a grid and packed."""
        channels, scale = self.denoiser.config.in_channels // 4, self.pipeline.vae_scale_factor
        shape = (1, channels, parameters.height // scale, parameters.width // scale)
        grid = randn_tensor(shape, generator=generator, device=self.device, dtype=dtype)
        packed: torch.Tensor = self.pipeline._pack_latents(grid, *shape)
        return packed

    def unpacked(self, latents: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return the packed latents as a grid."""
        grid: torch.Tensor = self.pipeline._unpack_latents(latents, *size, self.pipeline.vae_scale_factor)
        return grid

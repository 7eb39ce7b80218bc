"""Z-Image and Z-Image-Turbo."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers.pipelines.z_image.pipeline_z_image import get_default_z_image_sigmas

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.conditions.prompt_embeddings import Kind
from gpu_subscriber.engine.families.flow import FlowFamily
from gpu_subscriber.engine.runs.run import Batch, Rows

_PATCH = 2
"""The side of a token in latents, which the stock call never changes."""


class ZImage(FlowFamily):
    """`ZImagePipeline.__call__` in three functions."""

    text_lengths_differ = True

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        """Return the captions' embeddings, without padding."""
        captions, _ = self.pipeline.encode_prompt(texts, self.device, do_classifier_free_guidance=False)
        return [{"encoder_hidden_states": caption[None]} for caption in captions]

    def noise(
        self, parameters: GenerationParameters, generator: torch.Generator, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return float32 noise: the stock call never steps in half precision."""
        return super().noise(parameters, generator, torch.float32)

    def tokens(self, noise: torch.Tensor) -> int:
        """Return how many tokens the transformer makes of the latents."""
        return noise.shape[2] // _PATCH * (noise.shape[3] // _PATCH)

    def sigmas(self, steps: int, config: Any) -> Sequence[float]:
        """Return evenly spaced noise levels, rounded to float32 as in the stock call."""
        levels: list[float] = get_default_z_image_sigmas(steps)
        return levels

    def stack(self, rows: Sequence[Rows]) -> Batch:
        """Return a list of captions, which the transformer pads itself."""
        return {"cap_feats": [row["encoder_hidden_states"][0] for row in rows]}

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the transformer, whose time ends at 1 and whose prediction points from noise to image."""
        frames = latents.to(self.denoiser.dtype).unsqueeze(2).unbind()
        predicted = self.denoiser(list(frames), (1000 - timesteps) / 1000, **rows, return_dict=False)[0]
        return -torch.stack(predicted).squeeze(2).float()

    def guide(self, negative: torch.Tensor, positive: torch.Tensor, scale: float) -> torch.Tensor:
        """Return the guided prediction: the scale counts from 0, where other models count from 1."""
        return positive + scale * (positive - negative)

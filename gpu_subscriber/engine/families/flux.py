"""FLUX.1: dev, schnell and their fine-tunes."""

from pathlib import Path
from typing import Any

import torch
from cachetools import LRUCache

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.families.flow import PackedFlowFamily
from gpu_subscriber.engine.runs.run import Rows


class Flux(PackedFlowFamily):
    """`FluxPipeline.__call__` in three functions, without a negative prompt."""

    def __init__(self, pipeline: Any, *, folder: Path | None = None, revision: str | None = None) -> None:
        super().__init__(pipeline, folder=folder, revision=revision)
        self._image_ids: LRUCache[tuple[int, int], torch.Tensor] = LRUCache(16)

    def encode(self, text: str) -> Rows:
        """Return T5's embeddings and CLIP's pooled embedding."""
        embeddings, pooled, _ = self.pipeline.encode_prompt(text, device=self.device)
        return {"encoder_hidden_states": embeddings, "pooled_projections": pooled}

    def extra_rows(self, parameters: GenerationParameters, dtype: torch.dtype) -> Rows:
        """Return the guidance scale, which dev takes as an input and schnell does not."""
        if not self.denoiser.config.guidance_embeds:
            return {}
        return {"guidance": torch.full([1], parameters.guidance_scale, device=self.device)}

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Rows, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the transformer."""
        predicted: torch.Tensor = self.denoiser(
            hidden_states=latents,
            timestep=timesteps.to(latents.dtype) / 1000,
            **rows,
            img_ids=self._ids_of(size, latents.dtype),
            txt_ids=latents.new_zeros(rows["encoder_hidden_states"].shape[1], 3),
            return_dict=False,
        )[0]
        return predicted

    def _ids_of(self, size: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
        """Return the position of each token of an image."""
        ids = self._image_ids.get(size)
        if ids is None:
            tokens = [side // self.pipeline.vae_scale_factor // 2 for side in size]
            ids = self.pipeline._prepare_latent_image_ids(1, *tokens, self.device, dtype)
            self._image_ids[size] = ids
        return ids

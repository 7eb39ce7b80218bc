"""FLUX.1: dev, schnell and their fine-tunes."""

from operator import attrgetter

import torch
from cachetools import cachedmethod

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.conditions.control_networks import FluxControlNetworks
from gpu_subscriber.engine.conditions.prompt_embeddings import Kind, split_rows
from gpu_subscriber.engine.families.flow import PackedFlowFamily
from gpu_subscriber.engine.runs.run import Batch, Rows


class Flux(PackedFlowFamily):
    """`FluxPipeline.__call__` in three functions, without a negative prompt."""

    control_networks = FluxControlNetworks

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        """Return T5's embeddings and CLIP's pooled embedding."""
        embeddings, pooled, _ = self.pipeline.encode_prompt(texts, device=self.device)
        return split_rows(encoder_hidden_states=embeddings, pooled_projections=pooled)

    def extra_rows(self, parameters: GenerationParameters, dtype: torch.dtype) -> Rows:
        """Return the guidance scale, which dev takes as an input and schnell does not."""
        if not self.denoiser.config.guidance_embeds:
            return {}
        return {"guidance": torch.full([1], parameters.guidance_scale, device=self.device)}

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the transformer."""
        time = timesteps.to(latents.dtype) / 1000
        height, width = self.grid_size(size)
        images = latents.shape[1] // (height * width)
        positions = self._positions_of(size, rows["encoder_hidden_states"].shape[1], images)
        rows = self.controlled(latents, time, {**rows, **positions})
        predicted: torch.Tensor = self.denoiser(
            hidden_states=latents, timestep=time, **rows, return_dict=False
        )[0]
        return predicted

    @cachedmethod(attrgetter("cached_by_size"))
    def _positions_of(self, size: tuple[int, int], text_tokens: int, images: int) -> Rows:
        """Return the position of each token, the same in every row of a batch: (tokens, 3).

        The first coordinate is the number of the image that a token belongs to.
        """
        like = {"device": self.device, "dtype": self.denoiser.dtype}
        grids = [
            self.pipeline._prepare_latent_image_ids(1, *self.grid_size(size), **like) for _ in range(images)
        ]
        for number, grid in enumerate(grids):
            grid[..., 0] = number
        return {
            "img_ids": torch.cat(grids),
            "txt_ids": torch.zeros(text_tokens, 3, **like),
        }

"""FLUX.2 klein: distilled models, which have no guidance, and base models."""

from operator import attrgetter
from typing import Any

import torch
from cachetools import cachedmethod
from diffusers.pipelines.flux2.pipeline_flux2_klein import compute_empirical_mu
from diffusers.utils.torch_utils import randn_tensor

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.conditions.prompt_embeddings import Kind, split_rows
from gpu_subscriber.engine.families.flow import PackedFlowFamily
from gpu_subscriber.engine.runs.run import Batch, Rows


class Flux2Klein(PackedFlowFamily):
    """`Flux2KleinPipeline.__call__` in three functions, with an empty negative prompt."""

    branches_share_a_pass = False

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        """Return the embeddings of a fixed number of tokens, and the tokens' positions."""
        embeddings, ids = self.pipeline.encode_prompt(texts, self.device)
        return split_rows(encoder_hidden_states=embeddings, txt_ids=ids)

    def noise(
        self, parameters: GenerationParameters, generator: torch.Generator, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return seeded noise, drawn as a grid of tokens."""
        size = self.grid_size(self.generated_size(parameters))
        shape = (1, self.denoiser.config.in_channels, *size)
        grid = randn_tensor(shape, generator=generator, device=self.device, dtype=dtype)
        return grid.flatten(2).transpose(1, 2)

    def shift(self, tokens: int, steps: int, config: Any) -> float:
        """Return `mu`, which depends on the number of steps, too."""
        mu: float = compute_empirical_mu(tokens, steps)
        return mu

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the transformer."""
        predicted: torch.Tensor = self.denoiser(
            latents,
            timestep=timesteps.to(latents.dtype) / 1000,
            **rows,
            **self._positions_of(size),
            return_dict=False,
        )[0]
        return predicted

    @cachedmethod(attrgetter("cached_by_size"))
    def _positions_of(self, size: tuple[int, int]) -> Rows:
        """Return the position of each token of the image."""
        grid = torch.empty(1, 1, *self.grid_size(size))
        return {"img_ids": self.pipeline._prepare_latent_ids(grid).to(self.device)}

    def unpacked(self, latents: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return the grid that the autoencoder decodes: its batch norm scales whole tokens."""
        norm = self.pipeline.vae.bn
        tokens = latents.transpose(1, 2).unflatten(2, self.grid_size(size))
        mean, variance = (each.view(1, -1, 1, 1) for each in (norm.running_mean, norm.running_var))
        deviation = torch.sqrt(variance + self.pipeline.vae.config.batch_norm_eps)
        grid: torch.Tensor = self.pipeline._unpatchify_latents(
            tokens * deviation.to(tokens) + mean.to(tokens)
        )
        return grid

    def unscaled(self, grid: torch.Tensor) -> torch.Tensor:
        """Return the grid: it is no longer scaled."""
        return grid

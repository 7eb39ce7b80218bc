"""Stable Diffusion 3 and 3.5, with or without the T5 text encoder."""

import torch

from gpu_subscriber.engine.conditions.prompt_embeddings import Kind, split_rows
from gpu_subscriber.engine.families.flow import FlowFamily
from gpu_subscriber.engine.runs.run import Batch, Rows


class StableDiffusion3(FlowFamily):
    """`StableDiffusion3Pipeline.__call__` in three functions, without skip-layer guidance."""

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        """Return all text encoders' embeddings and CLIP's pooled ones."""
        embeddings, _, pooled, _ = self.pipeline.encode_prompt(
            texts, None, None, device=self.device, do_classifier_free_guidance=False
        )
        return split_rows(encoder_hidden_states=embeddings, pooled_projections=pooled)

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the transformer."""
        predicted: torch.Tensor = self.denoiser(latents, timestep=timesteps, **rows, return_dict=False)[0]
        return predicted

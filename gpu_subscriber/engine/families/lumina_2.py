"""Lumina-Image 2.0 and its fine-tunes."""

from collections.abc import Sequence
from typing import Any

import torch

from gpu_subscriber.engine.conditions.prompt_embeddings import Kind, split_rows
from gpu_subscriber.engine.families.flow import FlowFamily, evenly_spaced
from gpu_subscriber.engine.runs.run import Batch, Rows


class Lumina2(FlowFamily):
    """`Lumina2Pipeline.__call__` in three functions."""

    branches_share_a_pass = False
    text_lengths_differ = True

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        """Return the embeddings and their masks. A system prompt precedes prompts, but not negative ones."""
        if not kind.is_negative:
            texts = [f"{self.pipeline.system_prompt} <Prompt Start> {text}" for text in texts]
        embeddings, mask = self.pipeline._get_gemma_prompt_embeds(texts, self.device)
        return split_rows(encoder_hidden_states=embeddings, encoder_attention_mask=mask)

    def tokens(self, noise: torch.Tensor) -> int:
        """Return the number of channels, which the stock call takes for the number of tokens."""
        return noise.shape[1]

    def sigmas(self, steps: int, config: Any) -> Sequence[float]:
        """Return evenly spaced noise levels for every scheduler."""
        levels: Sequence[float] = evenly_spaced(steps)
        return levels

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the transformer, whose time ends at 1 and whose prediction points from noise to image."""
        time = 1 - timesteps / self.pipeline.scheduler.config.num_train_timesteps
        predicted: torch.Tensor = self.denoiser(latents, time, **rows, return_dict=False)[0]
        return -predicted

    def guide(self, negative: torch.Tensor, positive: torch.Tensor, scale: float) -> torch.Tensor:
        """Return the guided prediction, in which each row of latents is as long as in the positive one."""
        guided = super().guide(negative, positive, scale)
        return guided * (positive.norm(dim=-1, keepdim=True) / guided.norm(dim=-1, keepdim=True))

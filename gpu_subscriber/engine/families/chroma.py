"""Chroma: FLUX.1's architecture with one text encoder, masks and classifier-free guidance."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import pad

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.conditions.prompt_embeddings import Kind, split_rows
from gpu_subscriber.engine.families.flow import evenly_spaced
from gpu_subscriber.engine.families.flux import Flux
from gpu_subscriber.engine.runs.run import Batch, Rows


class Chroma(Flux):
    """`ChromaPipeline.__call__` in three functions."""

    branches_share_a_pass = False

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        """Return T5's embeddings, and the mask of the tokens that the transformer reads."""
        embeddings, _, mask, *_ = self.pipeline.encode_prompt(
            texts, device=self.device, do_classifier_free_guidance=False
        )
        return split_rows(encoder_hidden_states=embeddings, attention_mask=mask)

    def extra_rows(self, parameters: GenerationParameters, dtype: torch.dtype) -> Rows:
        """Return nothing: guidance is no input."""
        return {}

    def sigmas(self, steps: int, config: Any) -> Sequence[float]:
        """Return evenly spaced noise levels for every scheduler."""
        levels: Sequence[float] = evenly_spaced(steps)
        return levels

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the transformer, whose mask covers the text and the image."""
        mask = pad(rows["attention_mask"], (0, latents.shape[1]), value=1.0)
        return super().forward(latents, timesteps, {**rows, "attention_mask": mask}, size)

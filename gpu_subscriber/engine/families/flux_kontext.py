"""FLUX.1 Kontext: edits a picture by an instruction, or generates from the prompt alone."""

from collections.abc import Sequence
from typing import Any

import torch

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.conditions.edited_picture import EditedPicture, with_edited_picture
from gpu_subscriber.engine.families.flow import evenly_spaced
from gpu_subscriber.engine.families.flux import Flux
from gpu_subscriber.engine.families.starting_image import Starting
from gpu_subscriber.engine.messages import Inputs
from gpu_subscriber.engine.runs.run import Batch


class FluxKontext(Flux):
    """`FluxKontextPipeline.__call__` for a picture in the size of the image."""

    def starting_image(
        self, parameters: GenerationParameters, inputs: Inputs, generator: torch.Generator
    ) -> Starting | None:
        """Return the picture to edit, if there is one."""
        return None if parameters.image is None else EditedPicture.encoded(self, inputs)

    def sigmas(self, steps: int, config: Any) -> Sequence[float]:
        """Return evenly spaced noise levels for every scheduler."""
        levels: Sequence[float] = evenly_spaced(steps)
        return levels

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the transformer, which reads the picture's tokens after the latents."""
        tokens = latents.shape[1]
        latents, rows = with_edited_picture(latents, rows)
        return super().forward(latents, timesteps, rows, size)[:, :tokens]

"""Sana: a linear transformer over the latents of a deep-compression autoencoder."""

from functools import cached_property

import torch
from diffusers.pipelines.pixart_alpha.pipeline_pixart_alpha import (
    ASPECT_RATIO_512_BIN,
    ASPECT_RATIO_1024_BIN,
)
from diffusers.pipelines.pixart_alpha.pipeline_pixart_sigma import ASPECT_RATIO_2048_BIN
from diffusers.pipelines.sana.pipeline_sana import ASPECT_RATIO_4096_BIN

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.conditions.prompt_embeddings import Kind, split_rows
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.models.pipeline_calls import call_of
from gpu_subscriber.engine.runs.run import Batch, Rows

_BINS = {
    16: ASPECT_RATIO_512_BIN,
    32: ASPECT_RATIO_1024_BIN,
    64: ASPECT_RATIO_2048_BIN,
    128: ASPECT_RATIO_4096_BIN,
}
"""The sizes in which a checkpoint generates, by the `sample_size` of its transformer."""


class Sana(GuidedFamily):
    """`SanaPipeline.__call__` in three functions.

    The stock call generates in one of the checkpoint's own sizes and resizes the image. A checkpoint
    of unknown sizes generates in the requested size.
    """

    @cached_property
    def _instruction(self) -> list[str]:
        default: list[str] = call_of(self.pipeline)["complex_human_instruction"].default
        return default

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        """Return the embeddings and their masks. An instruction precedes prompts, but not negative ones."""
        embeddings, mask, _, _ = self.pipeline.encode_prompt(
            texts,
            False,
            device=self.device,
            complex_human_instruction=None if kind.is_negative else self._instruction,
        )
        return split_rows(encoder_hidden_states=embeddings, encoder_attention_mask=mask)

    def generated_size(self, parameters: GenerationParameters) -> tuple[int, int]:
        """Return the checkpoint's own size whose aspect ratio is nearest."""
        height, width = super().generated_size(parameters)
        bins = _BINS.get(self.denoiser.config.sample_size)
        if bins is not None:
            height, width = self.pipeline.image_processor.classify_height_width_bin(height, width, bins)
        return height, width

    def noise(
        self, parameters: GenerationParameters, generator: torch.Generator, dtype: torch.dtype
    ) -> torch.Tensor:
        """Return float32 noise: the stock call never steps in half precision."""
        return super().noise(parameters, generator, torch.float32)

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the transformer, and drop the variances that some checkpoints predict as well."""
        predicted: torch.Tensor = self.denoiser(
            latents.to(self.denoiser.dtype),
            timestep=timesteps * self.denoiser.config.timestep_scale,
            **rows,
            return_dict=False,
        )[0]
        return predicted[:, : latents.shape[1]].float()

    def resized(self, image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Resize and crop the image to the requested size."""
        height, width = size
        resized: torch.Tensor = self.pipeline.image_processor.resize_and_crop_tensor(image, width, height)
        return resized

"""Qwen-Image."""

from collections.abc import Sequence
from typing import Any

import torch

from gpu_subscriber.engine.conditions.prompt_embeddings import Kind, split_rows
from gpu_subscriber.engine.families.architecture import padded
from gpu_subscriber.engine.families.decoded import channels_of
from gpu_subscriber.engine.families.flow import PackedFlowFamily, evenly_spaced
from gpu_subscriber.engine.runs.run import Batch, Rows

MAX_TOKENS = 512
"""The number of a prompt's tokens that the stock call reads."""


class QwenImage(PackedFlowFamily):
    """`QwenImagePipeline.__call__` in three functions; the guidance scale is its `true_cfg_scale`."""

    branches_share_a_pass = False
    text_lengths_differ = True

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        """Return the prompts' embeddings, without padding."""
        embeddings, mask = self.pipeline.encode_prompt(texts, self.device, max_sequence_length=MAX_TOKENS)
        rows = split_rows(encoder_hidden_states=embeddings)
        if mask is None:  # no prompt is padded
            return rows
        lengths = mask.sum(1).tolist()
        return [
            {name: tensor[:, :length] for name, tensor in row.items()}
            for row, length in zip(rows, lengths, strict=True)
        ]

    def encode_negative(self, texts: list[str | None], kind: Kind) -> list[Rows]:
        """Encode a space for an omitted negative prompt, as the model's examples do."""
        return self.encode([" " if text is None else text for text in texts], kind)

    def sigmas(self, steps: int, config: Any) -> Sequence[float]:
        """Return evenly spaced noise levels for every scheduler."""
        levels: Sequence[float] = evenly_spaced(steps)
        return levels

    def stack(self, rows: Sequence[Rows]) -> Batch:
        """Return the prompts, padded to the longest one, and their mask if their lengths differ."""
        embeddings, mask = padded([row["encoder_hidden_states"] for row in rows])
        others = super().stack(
            [{name: row for name, row in each.items() if name != "encoder_hidden_states"} for each in rows]
        )
        return {**others, "encoder_hidden_states": embeddings, "encoder_hidden_states_mask": mask}

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the transformer."""
        predicted: torch.Tensor = self.denoiser(
            latents,
            timestep=timesteps.to(latents.dtype) / 1000,
            img_shapes=[[(1, *self.grid_size(each)) for each in self.image_sizes(size)]] * len(latents),
            **rows,
            return_dict=False,
        )[0]
        return predicted

    def image_sizes(self, size: tuple[int, int]) -> Sequence[tuple[int, int]]:
        """Return the height and width of each image whose tokens the transformer reads."""
        return [size]

    def guide(self, negative: torch.Tensor, positive: torch.Tensor, scale: float) -> torch.Tensor:
        """Return the guided prediction, in which each token is as long as in the positive one."""
        guided = super().guide(negative, positive, scale)
        return guided * (positive.norm(dim=-1, keepdim=True) / guided.norm(dim=-1, keepdim=True))

    def unpacked(self, latents: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return the packed latents as a grid: the only frame of a video."""
        return super().unpacked(latents, size)[:, :, 0]

    def unscaled(self, grid: torch.Tensor) -> torch.Tensor:
        """Scale by the autoencoder's mean and deviation of each channel."""
        config = self.pipeline.vae.config
        mean, deviation = (
            channels_of(values, like=grid) for values in (config.latents_mean, config.latents_std)
        )
        return grid / (1.0 / deviation) + mean

    def scaled(self, latents: torch.Tensor) -> torch.Tensor:
        """Scale by the autoencoder's mean and deviation; the latents are the only frame of a video."""
        config, grid = self.pipeline.vae.config, latents[:, :, 0]
        mean, deviation = (
            channels_of(values, like=grid) for values in (config.latents_mean, config.latents_std)
        )
        return (grid - mean) * (1.0 / deviation)

    def encode_image(self, pixels: torch.Tensor) -> Any:
        """Encode the picture as the only frame of a video."""
        return super().encode_image(pixels.unsqueeze(2))

    def decode_latents(self, latents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Decode the grid as the only frame of a video."""
        return super().decode_latents(latents.unsqueeze(2), generator)[:, :, 0]

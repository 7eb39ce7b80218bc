"""Stable Diffusion XL, its Turbo, Lightning and LCM variants, and its fine-tunes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.conditions.prompt_embeddings import Kind, split_rows
from gpu_subscriber.engine.families.decoded import channels_of
from gpu_subscriber.engine.families.stable_diffusion import StableDiffusion
from gpu_subscriber.engine.runs.run import Batch, Rows

_ADDED = ("text_embeds", "time_ids")
"""The rows that the UNet takes as added conditions."""


class StableDiffusionXL(StableDiffusion):
    """`StableDiffusionXLPipeline.__call__` in three functions."""

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        """Return both text encoders' embeddings and the second one's pooled embedding."""
        if kind.chunks:
            found = [self.encode_chunks(text, kind) for text in texts]
            return [
                {"encoder_hidden_states": embeddings, "text_embeds": pooled} for embeddings, pooled in found
            ]
        embeddings, _, pooled, _ = self.pipeline.encode_prompt(
            texts,
            device=self.device,
            do_classifier_free_guidance=False,
            clip_skip=kind.clip_skip or None,
        )
        return split_rows(encoder_hidden_states=embeddings, text_embeds=pooled)

    def encode_negative(self, texts: list[str | None], kind: Kind) -> list[Rows]:
        """Return zeros for an omitted negative prompt, where the checkpoint was trained so."""
        encoded = super().encode_negative(texts, kind)
        if not self.pipeline.config.force_zeros_for_empty_prompt:
            return encoded
        return [
            {name: torch.zeros_like(row) for name, row in rows.items()} if text is None else rows
            for text, rows in zip(texts, encoded, strict=True)
        ]

    @property
    def text_encoders(self) -> list[tuple[Any, Any]]:
        """The tokenizer and the text encoder of each reading of a prompt; the first may be absent."""
        pipeline = self.pipeline
        readings = [
            (pipeline.tokenizer, pipeline.text_encoder),
            (pipeline.tokenizer_2, pipeline.text_encoder_2),
        ]
        return [(tokenizer, encoder) for tokenizer, encoder in readings if encoder is not None]

    def hidden_layer(self, encoder: Any, output: Any, clip_skip: int) -> torch.Tensor:
        """Return the layer before the last one, or an earlier one, without normalization."""
        hidden: torch.Tensor = output.hidden_states[-(clip_skip + 2)]
        return hidden

    def extra_rows(self, parameters: GenerationParameters, dtype: torch.dtype) -> Rows:
        """Return the image's size, as original and target size, without a crop."""
        size = (parameters.height, parameters.width)
        width = self.pipeline.text_encoder_2.config.projection_dim
        time_ids = self.pipeline._get_add_time_ids(
            size, (0, 0), size, dtype=dtype, text_encoder_projection_dim=width
        )
        return {**super().extra_rows(parameters, dtype), "time_ids": time_ids.to(self.device)}

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the UNet with the added conditions."""
        latents, rows = self.given(latents, timesteps, rows)
        added = {name: rows[name] for name in _ADDED}
        others = {name: row for name, row in rows.items() if name not in _ADDED}
        predicted: torch.Tensor = self.denoiser(
            latents, timesteps, **others, added_cond_kwargs=added, return_dict=False
        )[0]
        return predicted

    def unscaled(self, grid: torch.Tensor) -> torch.Tensor:
        """Scale by the autoencoder's own mean and deviation, where it has them (Playground).

        In float32 where the autoencoder overflows in float16.
        """
        vae = self.pipeline.vae
        if vae.dtype == torch.float16 and vae.config.force_upcast:
            grid = grid.float()
        statistics = self._statistics(like=grid)
        if statistics is None:
            return super().unscaled(grid)
        mean, deviation = statistics
        return grid * deviation / vae.config.scaling_factor + mean

    def scaled(self, latents: torch.Tensor) -> torch.Tensor:
        """Scale by the autoencoder's own mean and deviation, where it has them."""
        statistics = self._statistics(like=latents)
        if statistics is None:
            return super().scaled(latents)
        mean, deviation = statistics
        return (latents - mean) * self.pipeline.vae.config.scaling_factor / deviation

    def decode_latents(self, latents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Decode in the precision of the latents."""
        with self._autoencoder_in(latents.dtype):
            return super().decode_latents(latents, generator)

    @property
    def decodes_beside_steps(self) -> bool:
        """Return whether the autoencoder keeps its precision while it decodes."""
        return not (self.pipeline.vae.dtype == torch.float16 and self.pipeline.vae.config.force_upcast)

    def encode_image(self, pixels: torch.Tensor) -> Any:
        """Encode in float32 where the autoencoder overflows in float16."""
        vae = self.pipeline.vae
        rounded = pixels.to(vae.dtype)  # as in the stock call
        with self._autoencoder_in(torch.float32 if vae.config.force_upcast else vae.dtype):
            return super().encode_image(rounded)

    def _statistics(self, *, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Return the mean and the deviation of each channel of the latents, if the autoencoder states them."""
        config = self.pipeline.vae.config
        if config.get("latents_mean") is None or config.get("latents_std") is None:
            return None
        return channels_of(config.latents_mean, like=like), channels_of(config.latents_std, like=like)

    @contextmanager
    def _autoencoder_in(self, dtype: torch.dtype) -> Iterator[None]:
        vae, usual = self.pipeline.vae, self.pipeline.vae.dtype
        if dtype == usual:
            yield
            return
        try:
            vae.to(dtype=dtype)  # without memory, it ends half-way
            yield
        finally:
            vae.to(dtype=usual)

    def check(self, image: torch.Tensor) -> None:
        """Accept every image: the pipeline has no filter."""

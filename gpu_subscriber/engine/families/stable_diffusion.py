"""Stable Diffusion 1 and 2, and every other model that loads as diffusers' StableDiffusionPipeline."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from diffusers import ConsistencyDecoderVAE

from common.domain.models.known_pipelines import INPAINTING_CHANNELS
from common.domain.models.traits import PromptSyntax
from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.conditions.ip_adapters import with_same_adapters
from gpu_subscriber.engine.conditions.masked_picture import MaskedPicture, with_masked_picture
from gpu_subscriber.engine.conditions.prompt_embeddings import Kind, split_rows
from gpu_subscriber.engine.conditions.weighted_prompts import WeightedTokens, encode_chunks
from gpu_subscriber.engine.errors import ContentFilteredError
from gpu_subscriber.engine.families.architecture import padded
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.families.starting_image import Starting
from gpu_subscriber.engine.messages import Inputs
from gpu_subscriber.engine.runs.run import Batch, Rows


class StableDiffusion(GuidedFamily):
    """`StableDiffusionPipeline.__call__` in three functions."""

    network = "unet"

    @cached_property
    def inpaints(self) -> bool:
        """Whether the UNet reads a mask and a masked picture beside the latents."""
        return bool(self.denoiser.config.in_channels == INPAINTING_CHANNELS)

    @property
    def latent_channels(self) -> int:
        """The channels of the latents: a UNet for inpainting takes more."""
        channels: int = self.pipeline.vae.config.latent_channels if self.inpaints else super().latent_channels
        return channels

    def starting_image(
        self, parameters: GenerationParameters, inputs: Inputs, generator: torch.Generator
    ) -> Starting | None:
        """Return the picture; a UNet for inpainting needs one, and its mask."""
        if not self.inpaints:
            return super().starting_image(parameters, inputs, generator)
        return MaskedPicture.encoded(self, parameters, inputs, generator)

    def kinds(self, parameters: GenerationParameters, inputs: Inputs) -> tuple[Kind, Kind]:
        """Give both texts the same length. Layers are skipped for the prompt alone."""
        is_weighted = parameters.prompt_syntax is PromptSyntax.WEIGHTED
        chunks = self._chunks_of(parameters) if is_weighted else 0
        return Kind(is_negative=True, chunks=chunks), Kind(chunks=chunks, clip_skip=parameters.clip_skip or 0)

    def encode(self, texts: list[str], kind: Kind) -> list[Rows]:
        """Return `encoder_hidden_states`, (1, tokens, width). Weighted prompts have a pass each."""
        if kind.chunks:
            found = [self.encode_chunks(text, kind) for text in texts]
            return [{"encoder_hidden_states": embeddings} for embeddings, _ in found]
        if kind.clip_skip:
            embeddings = self._encode_without_last_layers(texts, kind.clip_skip)
        else:
            embeddings, _ = self.pipeline.encode_prompt(texts, self.device, 1, False)
        return split_rows(encoder_hidden_states=embeddings)

    def hidden_layer(self, encoder: Any, output: Any, clip_skip: int) -> torch.Tensor:
        """Return the layer of a text encoder that the denoiser reads, as in `encode_prompt`."""
        network = getattr(encoder, "text_model", encoder)
        hidden: torch.Tensor = network.final_layer_norm(output.hidden_states[-(clip_skip + 1)])
        return hidden

    def extra_rows(self, parameters: GenerationParameters, dtype: torch.dtype) -> Rows:
        """Return the guidance scale's embedding, which networks distilled for few steps take."""
        width = self.denoiser.config.time_cond_proj_dim
        if width is None:
            return {}
        scale = torch.tensor(parameters.guidance_scale - 1).repeat(1)
        embedding = self.pipeline.get_guidance_scale_embedding(scale, embedding_dim=width)
        return {"timestep_cond": embedding.to(self.device, dtype)}

    def stack(self, rows: Sequence[Rows]) -> Batch:
        """Return the rows of a batch; shorter texts are padded and masked."""
        rows = with_same_adapters(rows)
        texts, mask = padded([row["encoder_hidden_states"] for row in rows])
        stacked = super().stack(
            [{name: row for name, row in each.items() if name != "encoder_hidden_states"} for each in rows]
        )
        return {**stacked, "encoder_hidden_states": texts, "encoder_attention_mask": mask}

    def given(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch
    ) -> tuple[torch.Tensor, Batch]:
        """Return what the UNet receives: with the parts of pictures, from all networks that read them."""
        rows = self.ip_adapters.select(self.controlled(latents, timesteps, rows))
        return with_masked_picture(latents, rows)

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the UNet."""
        latents, rows = self.given(latents, timesteps, rows)
        predicted: torch.Tensor = self.denoiser(latents, timesteps, **rows, return_dict=False)[0]
        return predicted

    def decode_latents(self, latents: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Decode; a consistency decoder draws noise from the generator."""
        image: torch.Tensor = self.pipeline.vae.decode(latents, return_dict=False, generator=generator)[0]
        return image

    @property
    def decodes_in_batches(self) -> bool:
        """Return whether the autoencoder draws no noise of its own, which belongs to one Run."""
        return not isinstance(self.pipeline.vae, ConsistencyDecoderVAE)

    def check(self, image: torch.Tensor) -> None:
        """Run the checkpoint's safety checker, if it has one."""
        _, flagged = self.pipeline.run_safety_checker(image, self.device, image.dtype)
        if self.checker.refuses(flagged):
            raise ContentFilteredError

    @property
    def text_encoders(self) -> list[tuple[Any, Any]]:
        """The tokenizer and the text encoder of each reading of a prompt."""
        return [(self.pipeline.tokenizer, self.pipeline.text_encoder)]

    def encode_chunks(self, text: str, kind: Kind) -> tuple[torch.Tensor, Any]:
        """Return the embeddings of a weighted text by all text encoders, and the last one's pooled ones."""
        found = []
        for tokenizer, encoder in self.text_encoders:

            def encode(ids: torch.Tensor, encoder: Any = encoder) -> tuple[torch.Tensor, torch.Tensor | None]:
                output = encoder(ids.to(self.device), output_hidden_states=True)
                return self.hidden_layer(encoder, output, kind.clip_skip), output.get("text_embeds")

            found.append(encode_chunks(text, tokenizer=tokenizer, encode=encode, chunks=kind.chunks))
        return torch.cat([embeddings for embeddings, _ in found], dim=-1), found[-1][1]

    def _encode_without_last_layers(self, texts: list[str], clip_skip: int) -> torch.Tensor:
        """Encode as `encode_prompt` does, which expects a CLIPTextModel of transformers 4."""
        tokenizer, encoder = self.pipeline.tokenizer, self.pipeline.text_encoder
        length = tokenizer.model_max_length
        read = tokenizer(texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
        is_masked = getattr(encoder.config, "use_attention_mask", False)
        mask = read.attention_mask.to(self.device) if is_masked else None
        output = encoder(read.input_ids.to(self.device), attention_mask=mask, output_hidden_states=True)
        return self.hidden_layer(encoder, output, clip_skip)

    def _chunks_of(self, parameters: GenerationParameters) -> int:
        """Return the chunks of the longer text, for both of them."""
        tokenizer, _ = self.text_encoders[0]
        texts = [parameters.prompt, parameters.negative_prompt or ""][: parameters.passes_per_step]
        return max(WeightedTokens.of(text, tokenizer).chunks_in(tokenizer) for text in texts)

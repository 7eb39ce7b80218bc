"""Stable Diffusion 1 and 2, and every other model that loads as diffusers' StableDiffusionPipeline."""

import torch
from diffusers import ConsistencyDecoderVAE

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.errors import ContentFilteredError
from gpu_subscriber.engine.families.guided import Batch, GuidedFamily
from gpu_subscriber.engine.runs.run import Rows


class StableDiffusion(GuidedFamily):
    """`StableDiffusionPipeline.__call__` in three functions."""

    network = "unet"

    def encode(self, text: str) -> Rows:
        """Return `encoder_hidden_states` (1, tokens, width)."""
        embeddings, _ = self.pipeline.encode_prompt(text, self.device, 1, False)
        return {"encoder_hidden_states": embeddings}

    def extra_rows(self, parameters: GenerationParameters, dtype: torch.dtype) -> Rows:
        """Return the guidance scale's embedding, which networks distilled for few steps take."""
        width = self.denoiser.config.time_cond_proj_dim
        if width is None:
            return {}
        scale = torch.tensor(parameters.guidance_scale - 1).repeat(1)
        embedding = self.pipeline.get_guidance_scale_embedding(scale, embedding_dim=width)
        return {"timestep_cond": embedding.to(self.device, dtype)}

    def forward(
        self, latents: torch.Tensor, timesteps: torch.Tensor, rows: Batch, size: tuple[int, int]
    ) -> torch.Tensor:
        """Run the UNet."""
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
        if flagged is not None and flagged[0]:
            raise ContentFilteredError

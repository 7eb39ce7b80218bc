"""Stable Diffusion 1 and 2, and every other model that loads as diffusers' StableDiffusionPipeline."""

from typing import Any

import torch

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.errors import ContentFilteredError, ModelRefusedError
from gpu_subscriber.engine.families.guided import Batch, GuidedFamily
from gpu_subscriber.engine.models.model_provenance import NO_FILES, LoadedFiles
from gpu_subscriber.engine.runs.run import Rows


class StableDiffusion(GuidedFamily):
    """`StableDiffusionPipeline.__call__` in three functions."""

    network = "unet"

    def __init__(self, pipeline: Any, files: LoadedFiles = NO_FILES) -> None:
        scheduler = pipeline.scheduler
        if not hasattr(scheduler, "init_noise_sigma"):
            raise ModelRefusedError(
                f"a {type(pipeline).__name__} cannot step with a {type(scheduler).__name__}: use the "
                "scheduler that the model was trained with"
            )
        super().__init__(pipeline, files)

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

    def check(self, image: torch.Tensor) -> None:
        """Run the checkpoint's safety checker, if it has one."""
        _, flagged = self.pipeline.run_safety_checker(image, self.device, image.dtype)
        if flagged is not None and flagged[0]:
            raise ContentFilteredError

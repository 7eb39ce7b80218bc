"""Stable Diffusion 1 and 2, and every other model that loads as diffusers' StableDiffusionPipeline.

`prepare`, `predict` with the samplers, and `decode` together equal
`StableDiffusionPipeline.__call__` with a CPU generator seeded with the Run's seed: bit for bit when
a Run is alone, to float rounding when it shares a batch.
"""

import hashlib
import inspect
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers.utils.torch_utils import randn_tensor

from common.domain.parameters import GenerationParameters
from common.domain.task_warnings import warnings_of
from gpu_subscriber.engine.errors import ContentFilteredError
from gpu_subscriber.engine.families.stepping import Decoded
from gpu_subscriber.engine.models.model_provenance import ModelProvenance
from gpu_subscriber.engine.models.prompt_tokens import PromptTokens
from gpu_subscriber.engine.models.samplers import new_scheduler
from gpu_subscriber.engine.runs.previews import LatentColours
from gpu_subscriber.engine.runs.run import Denoising

REMEMBERED_PROMPTS = 64
"""Cached embeddings, about 0.1 to 0.3 MB each; nearly every task uses the empty negative prompt."""


class StableDiffusion:
    """The three functions over the components of a loaded StableDiffusionPipeline."""

    def __init__(self, pipeline: Any, *, folder: Path | None = None, revision: str | None = None) -> None:
        self.pipeline = pipeline
        self.origin = ModelProvenance(pipeline, folder=folder, revision=revision)
        self.device: torch.device = pipeline.unet.device
        self.colours = LatentColours.beside(folder, self.device)
        self._tokens = PromptTokens(pipeline)
        self._fingerprint = _fingerprint(pipeline.unet)
        self._embeddings: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._conditioning: tuple[tuple[Denoising, ...], torch.Tensor, torch.Tensor | None] | None = None

    def prepare(self, parameters: GenerationParameters, *, seed: int) -> Denoising:
        """Run steps 1 to 6 of the stock call.

        They make embeddings, timesteps and seeded noise × `init_noise_sigma`.
        """
        can_guide = self.pipeline.unet.config.time_cond_proj_dim is None
        guided = parameters.is_guided and can_guide
        positive = self._encoded(parameters.prompt)
        negative = self._encoded(parameters.negative_prompt or "") if guided else None
        scheduler = new_scheduler(parameters.sampler, self.pipeline.scheduler, steps=parameters.steps)
        generator = torch.Generator("cpu").manual_seed(seed)
        scale = self.pipeline.vae_scale_factor
        shape = (
            1,
            self.pipeline.unet.config.in_channels,
            parameters.height // scale,
            parameters.width // scale,
        )
        noise = randn_tensor(shape, generator=generator, device=self.device, dtype=positive.dtype)
        return Denoising(
            latents=noise * scheduler.init_noise_sigma,
            scheduler=scheduler,
            timesteps=scheduler.timesteps,
            device_timesteps=scheduler.timesteps.to(self.device, torch.float32),
            positive=positive,
            negative=negative,
            guidance_scale=parameters.guidance_scale,
            generator=generator,
            step_arguments=_step_arguments(scheduler, generator),
            fingerprint=self._fingerprint,
            origin=self.origin,
            timestep_condition=self._timestep_condition(parameters.guidance_scale, positive.dtype),
            warnings=warnings_of(
                parameters,
                max_prompt_tokens=self._tokens.limit,
                token_starts=self._tokens.starts,
                can_guide=can_guide,
            ),
        )

    def predict(self, states: Sequence[Denoising]) -> list[torch.Tensor]:
        """Run step 7's forward in one batch, each row at its own timestep, then guidance.

        The batch is [negatives…, positives…]. Guidance is applied Run by Run with a Python float, as in
        the stock call: a (B, 1, 1, 1) tensor of scales would round differently in half precision.
        """
        guided = states[0].negative is not None
        rows = torch.cat([state.model_input for state in states])
        timesteps = torch.stack([state.device_timesteps[state.step_index] for state in states])
        embeddings, condition = self._batch_conditioning(states)
        predicted = self.pipeline.unet(
            torch.cat([rows, rows]) if guided else rows,
            torch.cat([timesteps, timesteps]) if guided else timesteps,
            encoder_hidden_states=embeddings,
            timestep_cond=condition,
            return_dict=False,
        )[0]
        if not guided:
            return list(predicted.split(1))
        negatives, positives = predicted.chunk(2)
        return [
            negative + state.guidance_scale * (positive - negative)
            for state, negative, positive in zip(states, negatives.split(1), positives.split(1), strict=True)
        ]

    def decode(self, state: Denoising, *, tiled: bool = False) -> Decoded:
        """Run step 8 of the stock call and `VaeImageProcessor.postprocess`, rounding included."""
        vae = self.pipeline.vae
        if tiled:
            vae.enable_tiling()
        try:
            image = vae.decode(state.latents / vae.config.scaling_factor, return_dict=False)[0]
        finally:
            if tiled:
                vae.disable_tiling()
        image, flagged = self.pipeline.run_safety_checker(image, self.device, state.positive.dtype)
        if flagged is not None and flagged[0]:
            raise ContentFilteredError
        unit = (image[0] * 0.5 + 0.5).clamp(0, 1).permute(1, 2, 0).float()
        return Decoded(
            pixels=(unit * 255).round().to(torch.uint8).contiguous(),
            finite=torch.isfinite(image).all() & torch.isfinite(state.latents).all(),
            varied=(image.amax((-2, -1)) > image.amin((-2, -1))).any(),
        )

    def _encoded(self, text: str) -> torch.Tensor:
        """Return the (1, tokens, width) embedding of one text, equal to `encode_prompt`'s.

        This holds for prompts and negative prompts.
        """
        found = self._embeddings.pop(text, None)
        if found is None:
            found = self.pipeline.encode_prompt(text, self.device, 1, do_classifier_free_guidance=False)[0]
        self._embeddings[text] = found
        while len(self._embeddings) > REMEMBERED_PROMPTS:
            self._embeddings.popitem(last=False)
        return found

    def _batch_conditioning(self, states: Sequence[Denoising]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Return stacked embeddings and guidance embeddings, cached while the batch is the same."""
        kept = self._conditioning
        if (
            kept is None
            or len(kept[0]) != len(states)
            or any(a is not b for a, b in zip(kept[0], states, strict=True))
        ):
            negatives = [state.negative for state in states if state.negative is not None]
            stacked = torch.cat(negatives + [state.positive for state in states])
            conditions = [
                state.timestep_condition for state in states if state.timestep_condition is not None
            ]
            kept = (tuple(states), stacked, torch.cat(conditions) if conditions else None)
            self._conditioning = kept
        return kept[1], kept[2]

    def _timestep_condition(self, guidance_scale: float, dtype: torch.dtype) -> torch.Tensor | None:
        """Run step 6.2: networks distilled for few steps take the guidance scale as an embedding."""
        width = self.pipeline.unet.config.time_cond_proj_dim
        if width is None:
            return None
        scale = torch.tensor(guidance_scale - 1).repeat(1)
        embedding = self.pipeline.get_guidance_scale_embedding(scale, embedding_dim=width)
        return embedding.to(device=self.device, dtype=dtype)


def _step_arguments(scheduler: Any, generator: torch.Generator) -> dict[str, Any]:
    """Return `prepare_extra_step_kwargs` with eta 0.

    Takes the scheduler, because the pipeline's own scheduler is not this Run's.
    """
    accepted = inspect.signature(scheduler.step).parameters
    arguments = {"eta": 0.0, "generator": generator}
    return {name: value for name, value in arguments.items() if name in accepted}


def _fingerprint(network: torch.nn.Module) -> str:
    """Return a digest of the network's first and last weights: cheap, and changed by any training."""
    digest = hashlib.sha256()
    parameters = list(network.parameters())
    for parameter in (parameters[0], parameters[-1]):
        digest.update(parameter.detach().float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]

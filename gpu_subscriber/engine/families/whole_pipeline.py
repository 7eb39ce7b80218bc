"""Any other DiffusionPipeline: called whole, one image at a time, with a step callback.

Such Runs share no steps and make no checkpoints. Progress, cancellation and previews work through
the callback. While one image is drawn, the engine's other Runs wait. The catalog entry offers only
what the pipeline obeys (`catalog_check.py`).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKL, AutoencoderTiny

from common.domain.models.known_pipelines import KNOWN_PIPELINES, PipelineClass
from common.domain.models.traits import Guidance
from common.domain.parameters import GenerationParameters
from common.domain.provenance import DrawConditions
from common.domain.task_records import TaskWarning
from common.domain.task_warnings import warnings_of
from gpu_subscriber.engine.content_policy.pipeline_checker import PipelineChecker
from gpu_subscriber.engine.errors import ContentFilteredError, EngineError
from gpu_subscriber.engine.families.decoded import Decoded, unscaled
from gpu_subscriber.engine.models.model_provenance import NO_FILES, LoadedFiles, ModelProvenance
from gpu_subscriber.engine.models.pipeline_calls import call_of
from gpu_subscriber.engine.models.prompt_tokens import PromptTokens
from gpu_subscriber.engine.models.samplers import make_scheduler
from gpu_subscriber.engine.runs.latent_colours import ColourFit, LatentColours
from gpu_subscriber.engine.runs.run_history import RunHistory
from gpu_subscriber.engine.runs.seeds import seeded_generator

_GRID_DIMENSIONS = 4
"""A grid of latents is (1, C, h, w)."""

_UNKNOWN = PipelineClass(guidance=Guidance.NONE)
OnStep = Callable[[int, int, torch.Tensor | None], None]
"""Receives the steps done, the total steps, and the latents if the pipeline exposes them.

May raise to stop.
"""


class WholePipeline:
    """A loaded pipeline of a class that has no stepping family."""

    def __init__(self, pipeline: Any, files: LoadedFiles = NO_FILES) -> None:
        self.pipeline = pipeline
        self._checker = PipelineChecker(pipeline)
        self.origin = ModelProvenance(pipeline, files)
        pipeline.set_progress_bar_config(disable=True)
        self._colours = LatentColours.beside(files.folder, pipeline.device)
        self._tokens = PromptTokens(pipeline)
        self._accepted = frozenset(call_of(pipeline))
        self._class = KNOWN_PIPELINES.get(type(pipeline).__name__, _UNKNOWN)

    def generate(self, parameters: GenerationParameters, *, seed: int, on_step: OnStep) -> Decoded:
        """Run the stock call with a CPU generator of this seed and the arguments that it accepts."""
        own_scheduler = self.pipeline.scheduler
        self.pipeline.scheduler = self.scheduler_for(parameters)
        try:
            output = self.pipeline(**self._arguments(parameters, seed=seed, on_step=on_step))
        finally:
            self.pipeline.scheduler = own_scheduler
        if self._checker.refuses(getattr(output, "nsfw_content_detected", None)):
            raise ContentFilteredError
        image = np.asarray(output.images[0])
        if image.shape != (parameters.height, parameters.width, 3):
            raise EngineError(f"its size is {_size(image)} instead of the requested one")
        pixels = (np.nan_to_num(image) * 255).round().astype("uint8")
        return Decoded(
            pixels=torch.from_numpy(pixels),
            finite=torch.tensor(bool(np.isfinite(image).all())),
            # The image is already clamped: one that is correctly all black is drawn twice here, and
            # delivered.
            varied=torch.tensor(bool((image.max((0, 1)) > image.min((0, 1))).any())),
        )

    def release(self) -> None:
        """Drop what is cached on the device besides the weights: nothing."""

    def preview(self, latents: torch.Tensor | None) -> torch.Tensor | None:
        """Return a small picture (h, w, 3) uint8 of a step's latents, which are still noisy.

        None unless they are a grid of the pipeline's own plain autoencoder, whose colours can be measured,
        and none if the pipeline has a safety checker.
        """
        if self._checker.exists:
            return None
        vae: Any = getattr(self.pipeline, "vae", None)
        if latents is None or not isinstance(vae, AutoencoderKL | AutoencoderTiny):
            return None
        if latents.ndim != _GRID_DIMENSIONS or latents.shape[1] != self.pipeline.vae.config.latent_channels:
            return None
        if self._colours is None:
            self._colours = ColourFit(self._decoded_grids, like=latents).colours
        return self._colours.thumbnail(latents)

    def _decoded_grids(self, grids: torch.Tensor) -> torch.Tensor:
        vae = self.pipeline.vae
        decoded: torch.Tensor = vae.decode(unscaled(grids, vae.config), return_dict=False)[0]
        return decoded

    def warnings_of(self, parameters: GenerationParameters) -> tuple[TaskWarning, ...]:
        """Return the parameters that the pipeline does not obey."""
        return warnings_of(parameters, max_prompt_tokens=self._tokens.limit, token_starts=self._tokens.starts)

    def draw_conditions(self, parameters: GenerationParameters) -> DrawConditions:
        """Return the conditions of an image that `generate` generated."""
        history = RunHistory(batches=[1] * parameters.steps)
        return self.origin.draw_conditions(self.scheduler_for(parameters), history)

    def scheduler_for(self, parameters: GenerationParameters) -> Any:
        """Return a new scheduler of the requested sampler. The pipeline sets its timesteps itself."""
        return make_scheduler(parameters.sampler, self.pipeline.scheduler, steps=parameters.steps)

    def _arguments(self, parameters: GenerationParameters, *, seed: int, on_step: OnStep) -> dict[str, Any]:
        def after_step(pipeline: Any, step: int, timestep: Any, shown: dict[str, Any]) -> dict[str, Any]:
            latents = shown.get("latents")
            on_step(step + 1, getattr(pipeline, "num_timesteps", parameters.steps), latents)
            return shown

        negative_prompt, guidance = parameters.negative_prompt, self._class.guidance_argument
        is_off = parameters.guidance is Guidance.NONE
        scale = self._class.guidance_off_at if is_off else parameters.guidance_scale
        if guidance == "true_cfg_scale" and parameters.is_guided and negative_prompt is None:
            negative_prompt = " "  # without one these pipelines turn guidance off
        offered = {
            "prompt": parameters.prompt,
            "negative_prompt": negative_prompt,
            "height": parameters.height,
            "width": parameters.width,
            "num_inference_steps": parameters.steps,
            guidance: scale,
            "num_images_per_prompt": 1,
            "generator": seeded_generator(seed),
            "output_type": "np",
            "callback_on_step_end": after_step,
        }
        return {
            name: value for name, value in offered.items() if name in self._accepted and value is not None
        }


def _size(image: np.ndarray) -> str:
    return " x ".join(str(length) for length in image.shape)

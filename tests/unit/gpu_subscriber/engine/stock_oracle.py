"""The image of the stock pipeline of diffusers for the same parameters. Shares no code with the engine."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import diffusers
import numpy as np
import torch
from diffusers import (
    ChromaInpaintPipeline,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxKontextPipeline,
    LCMScheduler,
    PNDMScheduler,
    QwenImageEditPipeline,
    StableDiffusion3InpaintPipeline,
    UniPCMultistepScheduler,
)
from PIL import Image
from transformers import CLIPTextModel

from common.domain.parameters import GenerationParameters, Sampler

_PLAIN_2M = {"algorithm_type": "dpmsolver++", "solver_order": 2}
STOCK_SCHEDULERS: dict[Sampler, tuple[Any, dict[str, Any]]] = {
    Sampler.DDIM: (DDIMScheduler, {}),
    Sampler.EULER: (EulerDiscreteScheduler, {}),
    Sampler.EULER_ANCESTRAL: (EulerAncestralDiscreteScheduler, {}),
    Sampler.DPMPP_2M: (DPMSolverMultistepScheduler, {**_PLAIN_2M, "use_karras_sigmas": False}),
    Sampler.DPMPP_2M_KARRAS: (
        DPMSolverMultistepScheduler,
        {**_PLAIN_2M, "use_karras_sigmas": True, "use_exponential_sigmas": False},
    ),
    Sampler.UNIPC: (UniPCMultistepScheduler, {}),
    Sampler.LCM: (LCMScheduler, {}),
    Sampler.PNDM: (PNDMScheduler, {"skip_prk_steps": True}),
    Sampler.FLOW_EULER: (FlowMatchEulerDiscreteScheduler, {}),
}

_FLOW = {"prediction_type": "flow_prediction", "use_flow_sigmas": True}

_OPTIONS = ("clip_skip", "guidance_rescale", "eta")
"""Optional parameters that calls have under the same name; 0 has no effect."""

_EDITING = (FluxKontextPipeline, QwenImageEditPipeline)
"""Classes that edit a picture: their calls take it themselves."""

StockArguments = Callable[[GenerationParameters], Mapping[str, Any]]
"""Returns the arguments of a pipeline's call for the guidance and the negative prompt."""


def cfg(parameters: GenerationParameters) -> Mapping[str, Any]:
    given = {"guidance_scale": parameters.guidance_scale, "negative_prompt": parameters.negative_prompt}
    return {name: value for name, value in given.items() if value is not None}


def true_cfg(parameters: GenerationParameters) -> Mapping[str, Any]:
    """Without a negative prompt the call turns guidance off; the model's examples pass a space."""
    negative = " " if parameters.negative_prompt is None else parameters.negative_prompt
    return {"true_cfg_scale": parameters.guidance_scale, "negative_prompt": negative}


@dataclass(frozen=True, slots=True)
class StockPicture:
    """`latents` (1, …) after the last step, in the denoiser's shape; `pixels` (H, W, 3) uint8."""

    latents: torch.Tensor
    pixels: np.ndarray


def stock_picture(
    pipeline: Any,
    parameters: GenerationParameters,
    *,
    index: int = 0,
    arguments: StockArguments = cfg,
    inputs: Mapping[str, Image.Image] | None = None,
) -> StockPicture:
    """Call the stock pipeline once with `torch.Generator("cpu").manual_seed(seed + index)`.

    With `inputs`, the image-to-image or inpainting pipeline over the same networks.
    """
    pictures: dict[str, Any] = dict(inputs or {})
    if type(pipeline) is FluxKontextPipeline:
        pictures |= {"max_area": parameters.width * parameters.height, "_auto_resize": False}
    elif pictures and type(pipeline) not in _EDITING:
        pipeline = _pipeline_with_inputs(pipeline, pictures)
        pictures["strength"] = parameters.strength
    if type(pipeline) is ChromaInpaintPipeline:
        pictures["max_sequence_length"] = 512  # as in its other calls
    own: Any = pipeline.scheduler
    scheduler, overrides = STOCK_SCHEDULERS.get(parameters.sampler, (type(own), {}))
    is_flow_match = type(own) is FlowMatchEulerDiscreteScheduler
    if is_flow_match and not issubclass(scheduler, type(own)):
        overrides = {**overrides, **_FLOW, "flow_shift": own.config["shift"]}
    elif scheduler is FlowMatchEulerDiscreteScheduler and "flow_shift" in own.config:
        overrides = {"shift": own.config["flow_shift"]}
    pipeline.scheduler = scheduler.from_config(own.config, **overrides)
    if parameters.strength is not None and not hasattr(pipeline.scheduler, "scale_noise"):
        _take_flow_calls(pipeline.scheduler, own_levels=type(pipeline).__name__.startswith("Flux"))
    sizes = {"width": parameters.width, "height": parameters.height}
    accepted = inspect.signature(pipeline.__call__).parameters
    latents: list[torch.Tensor] = []

    def keep(_pipeline: Any, _step: int, _timestep: Any, shown: dict[str, Any]) -> dict[str, Any]:
        latents.append(shown["latents"])
        return shown

    if parameters.clip_skip:
        # diffusers reads `text_model` here. CLIPTextModel of transformers 5 has none: it is the model itself.
        CLIPTextModel.text_model = property(lambda model: model)  # type: ignore[attr-defined]
    try:
        image = pipeline(
            prompt=parameters.prompt,
            **{name: side for name, side in sizes.items() if name in accepted},
            num_inference_steps=parameters.steps,
            generator=torch.Generator("cpu").manual_seed(parameters.seed + index),
            callback_on_step_end=keep,
            **arguments(parameters),
            **{name: value for name in _OPTIONS if (value := getattr(parameters, name))},
            **pictures,
        ).images[0]
        if type(pipeline) is StableDiffusion3InpaintPipeline:
            image = _decoded(pipeline, latents[-1])
    finally:
        pipeline.scheduler = own
        if parameters.clip_skip:
            del CLIPTextModel.text_model  # type: ignore[attr-defined]
    return StockPicture(latents=latents[-1], pixels=np.asarray(image))


def _pipeline_with_inputs(pipeline: Any, inputs: Mapping[str, Any]) -> Any:
    """Return the pipeline for these inputs over the same components."""
    kind = "Inpaint" if "mask_image" in inputs else "Img2Img"
    started: Any = getattr(diffusers, type(pipeline).__name__.replace("Pipeline", f"{kind}Pipeline"))
    modules, options = started._get_signature_keys(started)
    parts = {name: pipeline.components.get(name) for name in modules}
    named = {name: pipeline.config[name] for name in options if name in pipeline.config}
    if started is ChromaInpaintPipeline:
        pipeline.transformer.register_to_config(guidance_embeds=False)  # its call reads what Chroma lacks
    made = started(**parts, **named)
    made.set_progress_bar_config(disable=True)
    return made


def _decoded(pipeline: Any, latents: torch.Tensor) -> Any:
    """Decode as in the other calls: Stable Diffusion 3's inpainting leaves out the autoencoder's shift."""
    config = pipeline.vae.config
    image = pipeline.vae.decode(latents / config.scaling_factor + config.shift_factor, return_dict=False)[0]
    return pipeline.image_processor.postprocess(image.detach())[0]


def _take_flow_calls(scheduler: Any, *, own_levels: bool) -> None:
    """Let a scheduler that integrates a flow take the calls of pipelines written for another one.

    FLUX passes noise levels, which its text-to-image call leaves to such a scheduler (`own_levels`).
    """
    scheduler.scale_noise = lambda sample, timestep, noise: scheduler.add_noise(sample, noise, timestep)
    if own_levels:
        set_timesteps = scheduler.set_timesteps

        def take_levels(*, sigmas: Any, device: Any = None, mu: float | None = None) -> None:
            set_timesteps(num_inference_steps=len(sigmas), device=device, mu=mu)

        scheduler.set_timesteps = take_levels


def largest_difference(a: np.ndarray, b: np.ndarray) -> int:
    """Return the largest difference of two images, in levels of 255."""
    return int(np.abs(a.astype(int) - b.astype(int)).max())

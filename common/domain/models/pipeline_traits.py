"""The parameters that diffusers pipelines obey, by class name and component configuration.

The API reads both from a model's folder, the worker from the loaded pipeline; the rules are the
same. Torch-free.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import lcm
from typing import Any

from common.domain.models.traits import Guidance, ModelTraits
from common.domain.parameters import Sampler

Configs = Mapping[str, Mapping[str, Any]]
"""The configuration of each component by name; a scheduler's has its class as `_class_name`.

The pipeline's own one, `model_index.json`, has the name PIPELINE.
"""
PIPELINE = "pipeline"

DIFFUSION_SCHEDULERS = frozenset(
    f"{name}Scheduler"
    for name in (
        "DDIM", "DDPM", "DEISMultistep", "DPMSolverMultistep", "DPMSolverSDE", "DPMSolverSinglestep",
        "EulerAncestralDiscrete", "EulerDiscrete", "HeunDiscrete", "KDPM2AncestralDiscrete", "KDPM2Discrete",
        "LCM", "LMSDiscrete", "PNDM", "TCD", "UniPCMultistep",
    )
)  # fmt: skip
"""Schedulers over one noise schedule of betas: each can be built from another's configuration."""
_ONE_SAMPLE_NEEDS_NOISE = frozenset((Sampler.EULER_ANCESTRAL, Sampler.PNDM))
"""Samplers that do not accept a network that predicts the clean latents."""
_FLOW_SAMPLERS = (Sampler.DPMPP_2M, Sampler.UNIPC)
"""Samplers that accept the flow-matching options of a scheduler of betas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineTraits:
    """What a pipeline obeys.

    `is_known` is true if its class itself is in the table below, not only its components.
    """

    class_name: str
    traits: ModelTraits
    samplers: tuple[Sampler, ...]
    side_multiple: int
    min_steps: int
    is_known: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _PipelineClass:
    guidance: Guidance
    takes_samplers: bool = False
    """Whether its scheduler may be replaced."""
    takes_negative_prompt: bool = True
    """Whether its classifier-free guidance accepts a negative prompt."""


_CFG, _EMBEDDED = Guidance.CLASSIFIER_FREE, Guidance.EMBEDDED
_KNOWN = {
    "StableDiffusionPipeline": _PipelineClass(guidance=_CFG, takes_samplers=True),
    "StableDiffusionPAGPipeline": _PipelineClass(guidance=_CFG, takes_samplers=True),
    "StableDiffusionXLPipeline": _PipelineClass(guidance=_CFG, takes_samplers=True),
    "StableDiffusionXLPAGPipeline": _PipelineClass(guidance=_CFG, takes_samplers=True),
    "StableDiffusion3Pipeline": _PipelineClass(guidance=_CFG),
    "LatentConsistencyModelPipeline": _PipelineClass(guidance=_EMBEDDED),
    "FluxPipeline": _PipelineClass(guidance=_EMBEDDED),
    "Flux2KleinPipeline": _PipelineClass(guidance=_CFG, takes_negative_prompt=False),
    "QwenImagePipeline": _PipelineClass(guidance=_CFG),
    "SanaPipeline": _PipelineClass(guidance=_CFG, takes_samplers=True),
    "ZImagePipeline": _PipelineClass(guidance=_CFG),
}
TRUE_GUIDANCE_PIPELINES = frozenset({"QwenImagePipeline"})
"""Pipelines whose classifier-free guidance scale is the argument `true_cfg_scale`."""
_PACKED = ("Flux", "QwenImage", "Chroma", "Bria")
"""Pipelines that pack 2 x 2 latents into one token, by the prefix of their names."""
_FIXED_MULTIPLES = {"SanaPipeline": 32}
"""Side multiples that a class requires regardless of its autoencoder."""


def pipeline_traits(class_name: str, configs: Configs) -> PipelineTraits:
    """Return the traits of a pipeline of this class with these components.

    An unknown class is assumed to support its own scheduler only.
    """
    known = _KNOWN.get(class_name)
    scheduler = configs.get("scheduler", {})
    guidance = Guidance.NONE if known is None else _guidance(known.guidance, class_name, configs)
    takes_negative_prompt = known is not None and known.takes_negative_prompt
    return PipelineTraits(
        class_name=class_name,
        traits=ModelTraits(
            guidance=guidance,
            negative_prompt=takes_negative_prompt and guidance is Guidance.CLASSIFIER_FREE,
        ),
        samplers=obeyed_samplers(scheduler) if known is not None and known.takes_samplers else (Sampler.OWN,),
        side_multiple=lcm(
            _vae_scale(configs) * _patch(class_name, configs), _FIXED_MULTIPLES.get(class_name, 1)
        ),
        # The last noise level is shifted to a given value, which divides by zero if it is also the
        # first one.
        min_steps=2 if scheduler.get("shift_terminal") else 1,
        is_known=known is not None,
    )


def obeyed_samplers(scheduler: Mapping[str, Any]) -> tuple[Sampler, ...]:
    """Return the samplers that can be built from a scheduler's configuration and fit the model.

    Every scheduler class accepts the configuration of another one. It replaces missing values by
    its defaults, and generates plausible but wrong images.
    """
    if scheduler.get("_class_name") not in DIFFUSION_SCHEDULERS:
        return (Sampler.OWN,)
    if scheduler.get("prediction_type") == "flow_prediction" or scheduler.get("use_flow_sigmas"):
        return (*_FLOW_SAMPLERS, Sampler.OWN)
    if scheduler.get("prediction_type") == "sample":
        return tuple(sampler for sampler in Sampler if sampler not in _ONE_SAMPLE_NEEDS_NOISE)
    return tuple(Sampler)


def _guidance(usual: Guidance, class_name: str, configs: Configs) -> Guidance:
    if class_name == "FluxPipeline":
        return usual if configs.get("transformer", {}).get("guidance_embeds") else Guidance.NONE
    if class_name == "Flux2KleinPipeline":
        return Guidance.NONE if configs.get(PIPELINE, {}).get("is_distilled") else usual
    # Networks distilled for few steps take the guidance scale as an embedding.
    is_distilled = configs.get("unet", {}).get("time_cond_proj_dim") is not None
    return Guidance.EMBEDDED if is_distilled else usual


def _vae_scale(configs: Configs) -> int:
    vae = configs.get("vae", {})
    if "temperal_downsample" in vae:
        return int(2 ** len(vae["temperal_downsample"]))
    blocks = vae.get("encoder_block_out_channels") or vae.get("block_out_channels")
    return int(2 ** (len(blocks) - 1)) if blocks else 8


def _patch(class_name: str, configs: Configs) -> int:
    if class_name.startswith(_PACKED):
        return 2
    network = configs.get("transformer", {})
    patch = network.get("patch_size") or max(network.get("all_patch_size") or (1,))
    return patch if isinstance(patch, int) else int(max(patch))

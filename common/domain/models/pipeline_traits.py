"""The parameters that diffusers pipelines obey, by class name and component configuration.

The API reads both from a model's folder, the worker from the loaded pipeline; the rules are the
same. Torch-free.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import lcm
from typing import Any

from common.domain.models.traits import OFF_AT_ONE, Guidance, ModelTraits
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
FLOW_SCHEDULER = "FlowMatchEulerDiscreteScheduler"
DIFFUSION_SAMPLERS = tuple(sampler for sampler in Sampler if sampler is not Sampler.FLOW_EULER)
"""The samplers of a model with a noise schedule of betas."""
_FLOW_SAMPLERS = (Sampler.OWN, Sampler.FLOW_EULER, Sampler.DPMPP_2M, Sampler.UNIPC)
"""The samplers that can integrate a flow, the model's own first."""
_ONE_SAMPLE_NEEDS_NOISE = frozenset((Sampler.EULER_ANCESTRAL, Sampler.PNDM))
"""Samplers that do not accept a network that predicts the clean latents."""


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
    samplers: tuple[Sampler, ...] = (Sampler.OWN,)
    """The samplers with which its call works."""
    shifts_always: bool = False
    """Whether its call passes a shift to every scheduler, also to one without dynamic shifting."""
    takes_negative_prompt: bool = True
    """Whether its classifier-free guidance accepts a negative prompt."""
    guidance_off_at: float = OFF_AT_ONE
    """The largest scale at which its classifier-free guidance is off."""


_CFG, _EMBEDDED = Guidance.CLASSIFIER_FREE, Guidance.EMBEDDED
_KNOWN = {
    "StableDiffusionPipeline": _PipelineClass(guidance=_CFG, samplers=DIFFUSION_SAMPLERS),
    "StableDiffusionPAGPipeline": _PipelineClass(guidance=_CFG, samplers=DIFFUSION_SAMPLERS),
    "StableDiffusionXLPipeline": _PipelineClass(guidance=_CFG, samplers=DIFFUSION_SAMPLERS),
    "StableDiffusionXLPAGPipeline": _PipelineClass(guidance=_CFG, samplers=DIFFUSION_SAMPLERS),
    "LatentConsistencyModelPipeline": _PipelineClass(guidance=_EMBEDDED),
    "StableDiffusion3Pipeline": _PipelineClass(guidance=_CFG, samplers=_FLOW_SAMPLERS),
    "SanaPipeline": _PipelineClass(guidance=_CFG, samplers=_FLOW_SAMPLERS),
    "FluxPipeline": _PipelineClass(guidance=_EMBEDDED, samplers=_FLOW_SAMPLERS, shifts_always=True),
    "Flux2KleinPipeline": _PipelineClass(
        guidance=_CFG, samplers=_FLOW_SAMPLERS, shifts_always=True, takes_negative_prompt=False
    ),
    # These calls pass their own noise levels: DPM++ accepts none, and UniPC no list.
    "QwenImagePipeline": _PipelineClass(
        guidance=_CFG, samplers=(Sampler.OWN, Sampler.FLOW_EULER, Sampler.UNIPC), shifts_always=True
    ),
    "ZImagePipeline": _PipelineClass(
        guidance=_CFG,
        samplers=(Sampler.OWN, Sampler.FLOW_EULER),
        shifts_always=True,
        guidance_off_at=0.0,
    ),
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
    traits = ModelTraits(guidance=Guidance.NONE, negative_prompt=False)
    return PipelineTraits(
        class_name=class_name,
        traits=traits if known is None else _traits(known, class_name, configs),
        samplers=(Sampler.OWN,) if known is None else obeyed_samplers(class_name, scheduler),
        side_multiple=lcm(
            _vae_scale(configs) * _patch(class_name, configs), _FIXED_MULTIPLES.get(class_name, 1)
        ),
        # The last noise level is shifted to a given value, which divides by zero if it is also the
        # first one.
        min_steps=2 if scheduler.get("shift_terminal") else 1,
        is_known=known is not None,
    )


def obeyed_samplers(class_name: str, scheduler: Mapping[str, Any]) -> tuple[Sampler, ...]:
    """Return the samplers that a pipeline of this class obeys if this is its own scheduler."""
    buildable = buildable_samplers(scheduler)
    known = _KNOWN.get(class_name)
    if known is None:
        # Its call may pass arguments that a scheduler of another kind refuses.
        kind = (Sampler.OWN, Sampler.FLOW_EULER) if _is_flow_match(scheduler) else DIFFUSION_SAMPLERS
        return tuple(sampler for sampler in buildable if sampler in kind)
    refused = set()
    if known.shifts_always and not scheduler.get("use_dynamic_shifting"):
        refused.add(Sampler.DPMPP_2M)
    return tuple(sampler for sampler in buildable if sampler in known.samplers and sampler not in refused)


def buildable_samplers(scheduler: Mapping[str, Any]) -> tuple[Sampler, ...]:
    """Return the samplers that can be built from a scheduler's configuration and fit the model.

    Every scheduler class accepts the configuration of another one. It replaces missing values by
    its defaults, and generates plausible but wrong images.
    """
    is_flow_match = _is_flow_match(scheduler)
    if not is_flow_match and scheduler.get("_class_name") not in DIFFUSION_SCHEDULERS:
        return (Sampler.OWN,)
    if (
        is_flow_match
        or scheduler.get("prediction_type") == "flow_prediction"
        or scheduler.get("use_flow_sigmas")
    ):
        refused = set()
        if scheduler.get("invert_sigmas"):
            refused |= {Sampler.DPMPP_2M, Sampler.UNIPC}
        is_linear = scheduler.get("use_dynamic_shifting") and scheduler.get("time_shift_type") == "linear"
        if is_linear or scheduler.get("shift_terminal"):
            refused.add(Sampler.DPMPP_2M)
        return tuple(sampler for sampler in _FLOW_SAMPLERS if sampler not in refused)
    if scheduler.get("prediction_type") == "sample":
        return tuple(sampler for sampler in DIFFUSION_SAMPLERS if sampler not in _ONE_SAMPLE_NEEDS_NOISE)
    return DIFFUSION_SAMPLERS


def _is_flow_match(scheduler: Mapping[str, Any]) -> bool:
    return scheduler.get("_class_name") == FLOW_SCHEDULER


def _traits(known: _PipelineClass, class_name: str, configs: Configs) -> ModelTraits:
    guidance = _guidance(known.guidance, class_name, configs)
    is_free = guidance is Guidance.CLASSIFIER_FREE
    return ModelTraits(
        guidance=guidance,
        negative_prompt=is_free and known.takes_negative_prompt,
        guidance_off_at=known.guidance_off_at if is_free else OFF_AT_ONE,
    )


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

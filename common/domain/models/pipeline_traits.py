"""The parameters that diffusers pipelines obey, by class name and component configuration.

The API reads both from a model's folder, the worker from the loaded pipeline; the rules are the
same. Torch-free.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import lcm
from typing import Any

from common.domain.models.known_pipelines import (
    DIFFUSION_SAMPLERS,
    FLOW_SAMPLERS,
    KNOWN_PIPELINES,
    Configs,
    PipelineClass,
    Usual,
)
from common.domain.models.traits import OFF_AT_ONE, Guidance, ModelTraits, PromptSyntax
from common.domain.parameters import Sampler

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
_ONE_SAMPLE_NEEDS_NOISE = frozenset((Sampler.EULER_ANCESTRAL, Sampler.PNDM))
"""Samplers that do not accept a network that predicts the clean latents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineTraits:
    """What a pipeline obeys.

    `is_known` is true if its class itself is known, not only its components.
    """

    class_name: str
    traits: ModelTraits
    samplers: tuple[Sampler, ...]
    side_multiple: int
    min_steps: int
    is_known: bool
    usual: Mapping[Guidance, Usual] = field(default_factory=dict)
    """The parameters with which published models generate well, by the kind of guidance."""
    side: int | None = None
    """The width and height of the images that the model was trained with; None: unknown."""
    max_prompt_tokens: int | None = None
    """How many tokens of a prompt it reads, without begin and end tokens; None: unknown."""


_PACKED = ("Flux", "QwenImage", "Bria")
"""Unknown pipelines that pack 2 x 2 latents into one token, by the prefix of their names."""
_TURBO_SHIFT = 3.0
_CLIP_LAYERS = 12
"""The layers of the smallest text encoder of Stable Diffusion."""


def pipeline_traits(class_name: str, configs: Configs) -> PipelineTraits:
    """Return the traits of a pipeline of this class with these components.

    An unknown class is assumed to support its own scheduler only.
    """
    known = KNOWN_PIPELINES.get(class_name)
    scheduler = configs.get("scheduler", {})
    found = PipelineTraits(
        class_name=class_name,
        traits=ModelTraits(guidance=Guidance.NONE, negative_prompt=False),
        samplers=(Sampler.OWN,),
        side_multiple=_vae_scale(configs) * (2 if class_name.startswith(_PACKED) else _patch(configs)),
        # The last noise level is shifted to a given value, which divides by zero if it is also the
        # first one.
        min_steps=2 if scheduler.get("shift_terminal") else 1,
        is_known=known is not None,
    )
    if known is None:
        return found
    return replace(
        found,
        traits=_traits(known, configs),
        samplers=obeyed_samplers(class_name, scheduler),
        usual=_usual(known, class_name, scheduler),
        side_multiple=lcm(_vae_scale(configs) * (2 if known.packs else _patch(configs)), known.side_multiple),
        side=_side(configs) or known.usual_side,
    )


def assumed_traits(class_name: str) -> PipelineTraits:
    """Return what each published model of a known class obeys, except its kind of guidance."""
    known = KNOWN_PIPELINES[class_name]
    is_flow = Sampler.FLOW_EULER in known.samplers
    scheduler = {"_class_name": FLOW_SCHEDULER if is_flow else "DDIMScheduler"}
    transformer = {"patch_size": 2} if is_flow else {}
    found = pipeline_traits(class_name, {"scheduler": scheduler, "transformer": transformer})
    return replace(
        found,
        samplers=(Sampler.OWN, Sampler.FLOW_EULER) if is_flow else found.samplers,
        min_steps=known.min_steps,
        is_known=False,
    )


def obeyed_samplers(class_name: str, scheduler: Mapping[str, Any]) -> tuple[Sampler, ...]:
    """Return the samplers that a pipeline of this class obeys if this is its own scheduler.

    None, if the class cannot step with it.
    """
    buildable = buildable_samplers(scheduler)
    known = KNOWN_PIPELINES.get(class_name)
    if known is None:
        # Its call may pass arguments that a scheduler of another kind refuses.
        kind = (Sampler.OWN, Sampler.FLOW_EULER) if _is_flow_match(scheduler) else DIFFUSION_SAMPLERS
        return tuple(sampler for sampler in buildable if sampler in kind)
    if Sampler.FLOW_EULER in known.samplers and Sampler.FLOW_EULER not in buildable:
        return (Sampler.OWN,)
    if Sampler.FLOW_EULER not in known.samplers and _is_flow_match(scheduler) and len(known.samplers) > 1:
        return ()
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
        return tuple(sampler for sampler in FLOW_SAMPLERS if sampler not in refused)
    if scheduler.get("prediction_type") == "sample":
        return tuple(sampler for sampler in DIFFUSION_SAMPLERS if sampler not in _ONE_SAMPLE_NEEDS_NOISE)
    return DIFFUSION_SAMPLERS


def _is_flow_match(scheduler: Mapping[str, Any]) -> bool:
    return scheduler.get("_class_name") == FLOW_SCHEDULER


def _traits(known: PipelineClass, configs: Configs) -> ModelTraits:
    guidance = known.variant(configs) or known.guidance
    is_free = guidance is Guidance.CLASSIFIER_FREE
    options: dict[str, Any] = {}
    if known.has_clip_options:
        options = {
            "prompt_syntaxes": tuple(PromptSyntax),
            "max_clip_skip": _clip_layers(configs) - 1,
            "guidance_rescale": is_free,
            "eta": True,
        }
    return ModelTraits(
        guidance=guidance,
        negative_prompt=is_free and known.takes_negative_prompt,
        guidance_off_at=known.guidance_off_at if is_free else OFF_AT_ONE,
        inputs=known.inputs,
        required_inputs=known.required_inputs(configs),
        strength=not known.edits_pictures,
        **options,
    )


def _clip_layers(configs: Configs) -> int:
    """Return how many layers the smallest text encoder has."""
    encoders = (configs.get(name, {}) for name in ("text_encoder", "text_encoder_2"))
    return min(
        (config["num_hidden_layers"] for config in encoders if "num_hidden_layers" in config),
        default=_CLIP_LAYERS,
    )


def _usual(known: PipelineClass, class_name: str, scheduler: Mapping[str, Any]) -> Mapping[Guidance, Usual]:
    # Z-Image and its distilled variant differ only in the scheduler's shift.
    if class_name == "ZImagePipeline" and scheduler.get("shift", 0) <= _TURBO_SHIFT:
        turbo = replace(known.usual[Guidance.NONE], guidance_scale=known.guidance_off_at)
        return {**known.usual, Guidance.CLASSIFIER_FREE: turbo}
    return known.usual


def _side(configs: Configs) -> int | None:
    denoiser = configs.get("unet") or configs.get("transformer") or {}
    size = denoiser.get("sample_size")
    if not isinstance(size, int):
        return None
    return size * _vae_scale(configs)


def _vae_scale(configs: Configs) -> int:
    vae = configs.get("vae", {})
    if "temperal_downsample" in vae:
        return int(2 ** len(vae["temperal_downsample"]))
    blocks = vae.get("encoder_block_out_channels") or vae.get("block_out_channels")
    return int(2 ** (len(blocks) - 1)) if blocks else 8


def _patch(configs: Configs) -> int:
    network = configs.get("transformer", {})
    patch = network.get("patch_size") or max(network.get("all_patch_size") or (1,))
    return patch if isinstance(patch, int) else int(max(patch))

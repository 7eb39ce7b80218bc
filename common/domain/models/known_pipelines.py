"""The pipeline classes of diffusers that darkroom knows. Torch-free."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common.domain.models.traits import OFF_AT_ONE, Guidance
from common.domain.parameters import Sampler

DIFFUSION_SAMPLERS = tuple(sampler for sampler in Sampler if sampler is not Sampler.FLOW_EULER)
"""The samplers of a model with a noise schedule of betas."""
FLOW_SAMPLERS = (Sampler.OWN, Sampler.FLOW_EULER, Sampler.DPMPP_2M, Sampler.UNIPC)
"""The samplers that can integrate a flow, the model's own first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usual:
    """The values of published models with which they generate well."""

    steps: int
    guidance_scale: float = 1.0
    sampler: Sampler = Sampler.OWN


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineClass:
    """How a class uses its parameters."""

    guidance: Guidance
    samplers: tuple[Sampler, ...] = (Sampler.OWN,)
    """The samplers with which its call works."""
    shifts_always: bool = False
    """Whether its call passes a shift to every scheduler, also to one without dynamic shifting."""
    takes_negative_prompt: bool = True
    """Whether its classifier-free guidance accepts a negative prompt."""
    guidance_off_at: float = OFF_AT_ONE
    """The largest scale at which its classifier-free guidance is off."""
    usual: Mapping[Guidance, Usual] = field(default_factory=dict)
    """By the kind of guidance: the distilled variants of a class have another kind, and need fewer steps."""
    usual_side: int = 1_024
    """Width and height, where the denoiser's configuration does not state them."""


_CFG, _EMBEDDED, _NONE = Guidance.CLASSIFIER_FREE, Guidance.EMBEDDED, Guidance.NONE
_LCM = Usual(steps=4, guidance_scale=8.0)
_STABLE_DIFFUSION = PipelineClass(
    guidance=_CFG,
    samplers=DIFFUSION_SAMPLERS,
    usual={_CFG: Usual(steps=30, guidance_scale=7.5, sampler=Sampler.DDIM), _EMBEDDED: _LCM},
    usual_side=512,
)
_STABLE_DIFFUSION_XL = PipelineClass(
    guidance=_CFG,
    samplers=DIFFUSION_SAMPLERS,
    usual={_CFG: Usual(steps=30, guidance_scale=5.0), _EMBEDDED: _LCM, _NONE: Usual(steps=4)},
)
KNOWN_PIPELINES = {
    "StableDiffusionPipeline": _STABLE_DIFFUSION,
    "StableDiffusionPAGPipeline": _STABLE_DIFFUSION,
    "StableDiffusionXLPipeline": _STABLE_DIFFUSION_XL,
    "StableDiffusionXLPAGPipeline": _STABLE_DIFFUSION_XL,
    "LatentConsistencyModelPipeline": PipelineClass(
        guidance=_EMBEDDED, usual={_EMBEDDED: _LCM}, usual_side=512
    ),
    "StableDiffusion3Pipeline": PipelineClass(
        guidance=_CFG,
        samplers=FLOW_SAMPLERS,
        usual={_CFG: Usual(steps=28, guidance_scale=4.5), _NONE: Usual(steps=4)},
    ),
    "SanaPipeline": PipelineClass(
        guidance=_CFG, samplers=FLOW_SAMPLERS, usual={_CFG: Usual(steps=20, guidance_scale=4.5)}
    ),
    "FluxPipeline": PipelineClass(
        guidance=_EMBEDDED,
        samplers=FLOW_SAMPLERS,
        shifts_always=True,
        usual={_EMBEDDED: Usual(steps=28, guidance_scale=3.5), _NONE: Usual(steps=4)},
    ),
    "Flux2KleinPipeline": PipelineClass(
        guidance=_CFG,
        samplers=FLOW_SAMPLERS,
        shifts_always=True,
        takes_negative_prompt=False,
        usual={_CFG: Usual(steps=50, guidance_scale=4.0), _NONE: Usual(steps=4)},
    ),
    # The next three calls pass their own noise levels: DPM++ accepts none, and UniPC no list.
    "ChromaPipeline": PipelineClass(
        guidance=_CFG,
        samplers=(Sampler.OWN, Sampler.FLOW_EULER, Sampler.UNIPC),
        shifts_always=True,
        usual={_CFG: Usual(steps=40, guidance_scale=3.0)},
    ),
    "QwenImagePipeline": PipelineClass(
        guidance=_CFG,
        samplers=(Sampler.OWN, Sampler.FLOW_EULER, Sampler.UNIPC),
        shifts_always=True,
        usual={_CFG: Usual(steps=50, guidance_scale=4.0), _NONE: Usual(steps=8)},
    ),
    "ZImagePipeline": PipelineClass(
        guidance=_CFG,
        samplers=(Sampler.OWN, Sampler.FLOW_EULER),
        shifts_always=True,
        guidance_off_at=0.0,
        usual={_CFG: Usual(steps=50, guidance_scale=4.0), _NONE: Usual(steps=8)},
    ),
}
TRUE_GUIDANCE_PIPELINES = frozenset({"QwenImagePipeline"})
"""Pipelines whose classifier-free guidance scale is the argument `true_cfg_scale`."""

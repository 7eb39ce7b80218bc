"""The pipeline classes of diffusers that darkroom knows. Torch-free."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from common.domain.models.prompt_reading import CLIP, PromptReading
from common.domain.models.traits import OFF_AT_ONE, TEXT_ONLY, Guidance, Input
from common.domain.parameters import Sampler

Configs = Mapping[str, Mapping[str, Any]]
"""The configuration of each component by name; a scheduler's has its class as `_class_name`.

The pipeline's own one, `model_index.json`, has the name PIPELINE.
"""
PIPELINE = "pipeline"
DIFFUSION_SAMPLERS = tuple(sampler for sampler in Sampler if sampler is not Sampler.FLOW_EULER)
"""The samplers of a model with a noise schedule of betas."""
INPAINTING_CHANNELS = 9
"""The input channels of a UNet for inpainting: 4 of the latents, 1 of the mask, 4 of the masked picture."""
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
    variant: Callable[[Configs], Guidance | None] = lambda _configs: None
    """Returns the kind of guidance of a distilled variant; None for the usual one."""
    must_state_traits: bool = False
    """Whether an entry must state its kind of guidance if the model's files are not readable."""
    family: str | None = None
    """The family whose images share denoising steps; None: `whole_pipeline` serves the class."""
    samplers: tuple[Sampler, ...] = (Sampler.OWN,)
    """The samplers with which its call works."""
    shifts_always: bool = False
    """Whether its call passes a shift to every scheduler, also to one without dynamic shifting."""
    takes_negative_prompt: bool = True
    """Whether its classifier-free guidance accepts a negative prompt."""
    guidance_off_at: float = OFF_AT_ONE
    """The largest scale at which its classifier-free guidance is off."""
    inputs: tuple[Input, ...] = TEXT_ONLY
    """What its family generates an image from."""
    required_inputs: Callable[[Configs], tuple[Input, ...]] = lambda _configs: ()
    """Returns the inputs besides the text without which its family generates no image."""
    edits_pictures: bool = False
    """Whether its denoiser reads a picture in each step. The image then starts from noise."""
    guidance_argument: str = "guidance_scale"
    """The argument of its call that takes the scale."""
    packs: bool = False
    """Whether it packs 2 x 2 latents into one token, whatever its denoiser's patch size."""
    has_own_sizes: bool = False
    """Whether its call generates in the checkpoint's own sizes, and resizes images to the requested one."""
    side_multiple: int = 1
    """A multiple of width and height that it requires regardless of its autoencoder."""
    min_steps: int = 1
    """The smallest number of steps of published models."""
    usual: Mapping[Guidance, Usual] = field(default_factory=dict)
    """By the kind of guidance: the distilled variants of a class have another kind, and need fewer steps."""
    usual_side: int = 1_024
    """Width and height, where the denoiser's configuration does not state them."""
    controlnet: str | None = None
    """The class of control networks that its family takes."""
    takes_ip_adapters: bool = False
    """Whether its family follows reference pictures through IP-Adapters."""
    has_clip_options: bool = False
    """Whether its family obeys `prompt_syntax`, `clip_skip`, `guidance_rescale` and `eta`."""
    readings: tuple[PromptReading, ...] = ()
    """How its text encoders read a prompt; the first one whose tokenizer a model has counts."""


def _distilled_unet(configs: Configs) -> Guidance | None:
    """UNets that are distilled for few steps take the guidance scale as an embedding."""
    is_distilled = configs.get("unet", {}).get("time_cond_proj_dim") is not None
    return Guidance.EMBEDDED if is_distilled else None


def _inpainting_unet(configs: Configs) -> tuple[Input, ...]:
    """UNets for inpainting have channels for the mask and the masked picture."""
    is_inpainting = configs.get("unet", {}).get("in_channels") == INPAINTING_CHANNELS
    return (Input.IMAGE, Input.MASK) if is_inpainting else ()


def _schnell(configs: Configs) -> Guidance | None:
    return None if configs.get("transformer", {}).get("guidance_embeds") else Guidance.NONE


def _distilled_klein(configs: Configs) -> Guidance | None:
    return Guidance.NONE if configs.get(PIPELINE, {}).get("is_distilled") else None


_CFG, _EMBEDDED, _NONE = Guidance.CLASSIFIER_FREE, Guidance.EMBEDDED, Guidance.NONE
_CHAT = PromptReading(length=512, prefix="<|im_start|>user\n", prefix_tokens=3)
_LCM = Usual(steps=4, guidance_scale=8.0)
_WITH_IMAGES = (Input.TEXT, Input.IMAGE, Input.MASK)
_STABLE_DIFFUSION = PipelineClass(
    family="stable_diffusion",
    inputs=_WITH_IMAGES,
    required_inputs=_inpainting_unet,
    guidance=_CFG,
    variant=_distilled_unet,
    samplers=DIFFUSION_SAMPLERS,
    usual={_CFG: Usual(steps=30, guidance_scale=7.5, sampler=Sampler.DDIM), _EMBEDDED: _LCM},
    usual_side=512,
    controlnet="ControlNetModel",
    takes_ip_adapters=True,
    has_clip_options=True,
    readings=(CLIP,),
)
_STABLE_DIFFUSION_XL = PipelineClass(
    family="stable_diffusion_xl",
    inputs=_WITH_IMAGES,
    required_inputs=_inpainting_unet,
    guidance=_CFG,
    variant=_distilled_unet,
    samplers=DIFFUSION_SAMPLERS,
    usual={_CFG: Usual(steps=30, guidance_scale=5.0), _EMBEDDED: _LCM, _NONE: Usual(steps=4)},
    controlnet="ControlNetModel",
    takes_ip_adapters=True,
    has_clip_options=True,
    readings=(CLIP,),
)
_QWEN_IMAGE = PipelineClass(
    family="qwen_image",
    inputs=_WITH_IMAGES,
    guidance=_CFG,
    samplers=(Sampler.OWN, Sampler.FLOW_EULER, Sampler.UNIPC),
    shifts_always=True,
    guidance_argument="true_cfg_scale",
    packs=True,
    min_steps=2,
    usual={_CFG: Usual(steps=50, guidance_scale=4.0), _NONE: Usual(steps=8)},
    # The instruction before the prompt is not a part of the length.
    readings=(PromptReading(length=512),),
)
_WHOLE: dict[str, Any] = {
    "family": None,
    "inputs": TEXT_ONLY,
    "required_inputs": lambda _configs: (),
    "has_clip_options": False,
    "controlnet": None,
    "takes_ip_adapters": False,
}
"""What differs where no family serves a class."""
KNOWN_PIPELINES = {
    "StableDiffusionPipeline": _STABLE_DIFFUSION,
    "StableDiffusionPAGPipeline": replace(_STABLE_DIFFUSION, **_WHOLE),
    "StableDiffusionXLPipeline": _STABLE_DIFFUSION_XL,
    "StableDiffusionXLPAGPipeline": replace(_STABLE_DIFFUSION_XL, **_WHOLE),
    "LatentConsistencyModelPipeline": PipelineClass(
        guidance=_EMBEDDED, usual={_EMBEDDED: _LCM}, usual_side=512, readings=(CLIP,)
    ),
    "StableDiffusion3Pipeline": PipelineClass(
        family="stable_diffusion_3",
        inputs=_WITH_IMAGES,
        guidance=_CFG,
        samplers=FLOW_SAMPLERS,
        usual={_CFG: Usual(steps=28, guidance_scale=4.5), _NONE: Usual(steps=4)},
        # T5 is optional. CLIP's encoders read a part of what T5 reads.
        readings=(PromptReading(tokenizer="tokenizer_3", length=256, special_tokens=1), CLIP),
    ),
    "FluxPipeline": PipelineClass(
        family="flux",
        inputs=_WITH_IMAGES,
        guidance=_EMBEDDED,
        variant=_schnell,
        must_state_traits=True,
        controlnet="FluxControlNetModel",
        samplers=FLOW_SAMPLERS,
        shifts_always=True,
        packs=True,
        usual={_EMBEDDED: Usual(steps=28, guidance_scale=3.5), _NONE: Usual(steps=4)},
        readings=(PromptReading(tokenizer="tokenizer_2", length=512, special_tokens=1),),
    ),
    # Its call passes its own noise levels, as Chroma's.
    "FluxKontextPipeline": PipelineClass(
        family="flux_kontext",
        inputs=(Input.TEXT, Input.IMAGE),
        edits_pictures=True,
        guidance=_EMBEDDED,
        samplers=(Sampler.OWN, Sampler.FLOW_EULER, Sampler.UNIPC),
        shifts_always=True,
        packs=True,
        usual={_EMBEDDED: Usual(steps=28, guidance_scale=2.5)},
        readings=(PromptReading(tokenizer="tokenizer_2", length=512, special_tokens=1),),
    ),
    "Flux2KleinPipeline": PipelineClass(
        family="flux_2_klein",
        guidance=_CFG,
        variant=_distilled_klein,
        must_state_traits=True,
        samplers=FLOW_SAMPLERS,
        shifts_always=True,
        takes_negative_prompt=False,
        packs=True,
        usual={_CFG: Usual(steps=50, guidance_scale=4.0), _NONE: Usual(steps=4)},
        readings=(_CHAT,),
    ),
    # The next three calls pass their own noise levels: DPM++ accepts none, and UniPC no list.
    "ChromaPipeline": PipelineClass(
        family="chroma",
        inputs=_WITH_IMAGES,
        guidance=_CFG,
        samplers=(Sampler.OWN, Sampler.FLOW_EULER, Sampler.UNIPC),
        shifts_always=True,
        packs=True,
        usual={_CFG: Usual(steps=40, guidance_scale=3.0)},
        readings=(PromptReading(length=512, special_tokens=1),),
    ),
    "QwenImagePipeline": _QWEN_IMAGE,
    "QwenImageEditPipeline": replace(
        _QWEN_IMAGE,
        family="qwen_image_edit",
        inputs=(Input.TEXT, Input.IMAGE),
        required_inputs=lambda _configs: (Input.IMAGE,),
        edits_pictures=True,
        readings=(),
    ),
    "ZImagePipeline": PipelineClass(
        family="z_image",
        inputs=_WITH_IMAGES,
        guidance=_CFG,
        samplers=(Sampler.OWN, Sampler.FLOW_EULER),
        shifts_always=True,
        guidance_off_at=0.0,
        usual={_CFG: Usual(steps=50, guidance_scale=4.0), _NONE: Usual(steps=8)},
        readings=(_CHAT,),
    ),
    "SanaPipeline": PipelineClass(
        family="sana",
        guidance=_CFG,
        samplers=FLOW_SAMPLERS,
        has_own_sizes=True,
        side_multiple=32,
        usual={_CFG: Usual(steps=20, guidance_scale=4.5)},
        # Of 300 embeddings, one is the first token's and one the last token's of the instruction.
        readings=(PromptReading(length=298, is_lowercase=True),),
    ),
    # Its call passes its own noise levels, as Qwen-Image's.
    "Lumina2Pipeline": PipelineClass(
        family="lumina_2",
        guidance=_CFG,
        samplers=(Sampler.OWN, Sampler.FLOW_EULER, Sampler.UNIPC),
        shifts_always=True,
        usual={_CFG: Usual(steps=30, guidance_scale=4.0)},
    ),
}

_SAME_COMPONENTS = {
    "StableDiffusionInpaintPipeline": "StableDiffusionPipeline",
    "StableDiffusionXLInpaintPipeline": "StableDiffusionXLPipeline",
}
"""Classes that models for inpainting name, and those that are loaded: their UNets show what they need."""


def served_class(class_name: str) -> str:
    """Return the pipeline class as which a model of this class is loaded."""
    return _SAME_COMPONENTS.get(class_name, class_name)


def prompt_reading(class_name: str, tokenizers: Collection[str] | None = None) -> PromptReading | None:
    """Return how a pipeline of this class with these tokenizers (by default all) reads prompts; None if unknown."""
    known = KNOWN_PIPELINES.get(class_name)
    readings = () if known is None else known.readings
    return next(
        (reading for reading in readings if tokenizers is None or reading.tokenizer in tokenizers), None
    )

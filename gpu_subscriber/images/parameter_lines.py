"""The parameters of an image as text, in the format of AUTOMATIC1111's web UI, which other programs read."""

from collections.abc import Mapping, Sequence
from typing import Final

from common.domain.models.traits import Guidance
from common.domain.provenance import AppliedLora
from gpu_subscriber.images.record import ImageRecord

_NAMES: Final[Mapping[str, str]] = {
    "DDIMScheduler": "DDIM",
    "DPMSolverMultistepScheduler": "DPM++ 2M",
    "DPMSolverSDEScheduler": "DPM++ SDE",
    "DPMSolverSinglestepScheduler": "DPM++ 2S",
    "EulerAncestralDiscreteScheduler": "Euler a",
    "EulerDiscreteScheduler": "Euler",
    "FlowMatchEulerDiscreteScheduler": "Euler",
    "FlowMatchHeunDiscreteScheduler": "Heun",
    "FlowMatchLCMScheduler": "LCM",
    "HeunDiscreteScheduler": "Heun",
    "KDPM2AncestralDiscreteScheduler": "DPM2 a",
    "KDPM2DiscreteScheduler": "DPM2",
    "LCMScheduler": "LCM",
    "LMSDiscreteScheduler": "LMS",
    "PNDMScheduler": "PLMS",
    "UniPCMultistepScheduler": "UniPC",
}
"""The names of that program by the scheduler class of diffusers."""

_LORA_HASH_DIGITS = 12


def parameter_lines(record: ImageRecord) -> str:
    """Format the parameters: prompt, negative prompt, then the others."""
    asked = record.parameters
    negative = asked.negative_prompt
    guidance = "" if asked.guidance is Guidance.NONE else f"CFG scale: {asked.guidance_scale:g}, "
    settings = (
        f"Steps: {asked.steps}, Sampler: {sampler_name(record.provenance.sampler_config)}, {guidance}"
        f"Seed: {asked.seed}, Size: {asked.width}x{asked.height}, Model: {asked.model}"
        f"{_lora_hashes(record.provenance.loras)}"
    )
    if asked.strength is not None:
        settings += f", Denoising strength: {asked.strength:g}"
    if asked.clip_skip:
        settings += f", Clip skip: {asked.clip_skip + 1}"  # that program counts from 1
    if asked.eta:
        settings += f", Eta: {asked.eta:g}"
    tags = "".join(f" <lora:{lora.name}:{lora.scale:g}>" for lora in record.provenance.loras)
    lines = [asked.prompt + tags, *([f"Negative prompt: {negative}"] if negative else []), settings]
    return "\n".join(lines)


def _lora_hashes(loras: Sequence[AppliedLora]) -> str:
    if not loras:
        return ""
    hashes = ", ".join(f"{lora.name}: {lora.sha256[:_LORA_HASH_DIGITS]}" for lora in loras)
    return f', Lora hashes: "{hashes}"'


def sampler_name(config: Mapping[str, bool | int | float | str]) -> str:
    """Return the name of the scheduler that was used; its class if that program has no name for it."""
    scheduler = str(config.get("class", "unknown"))
    name = _NAMES.get(scheduler, scheduler)
    if config.get("algorithm_type") == "sde-dpmsolver++":
        name += " SDE"
    return f"{name} Karras" if config.get("use_karras_sigmas") else name

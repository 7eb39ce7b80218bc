"""The model families: how the engine generates with a pipeline class."""

WHOLE_PIPELINE = "whole_pipeline"
"""Serves any pipeline class, one image at a time."""
PIPELINE_CLASS_OF = {
    "stable_diffusion": "StableDiffusionPipeline",
    "stable_diffusion_xl": "StableDiffusionXLPipeline",
    "stable_diffusion_3": "StableDiffusion3Pipeline",
    "flux": "FluxPipeline",
    "chroma": "ChromaPipeline",
    "flux_2_klein": "Flux2KleinPipeline",
    "qwen_image": "QwenImagePipeline",
    "z_image": "ZImagePipeline",
    "sana": "SanaPipeline",
}
"""The families whose images share denoising steps, and the pipeline class of diffusers that each serves."""
FAMILIES = (*PIPELINE_CLASS_OF, WHOLE_PIPELINE)


def shares_steps(family: str) -> bool:
    """Return whether images of one model share denoising steps, and resume from checkpoints."""
    return family != WHOLE_PIPELINE


def family_of(pipeline_class: str) -> str:
    """Return the family that serves this pipeline class best."""
    by_class = {served: family for family, served in PIPELINE_CLASS_OF.items()}
    return by_class.get(pipeline_class, WHOLE_PIPELINE)


def family_problem(family: str, pipeline_class: str | None) -> str | None:
    """Describe why this family cannot serve this pipeline class; None if it can, or if the class is unknown."""
    if family not in FAMILIES:
        return f"`family` must be one of {', '.join(FAMILIES)}; got {family!r}"
    served = PIPELINE_CLASS_OF.get(family)
    if served is None or pipeline_class in (served, None):
        return None
    return (
        f"family {family!r} serves a {served} only, and this is a {pipeline_class}; "
        f'write "family": "{family_of(str(pipeline_class))}"'
    )

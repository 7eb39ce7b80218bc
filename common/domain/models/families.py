"""The model families: how the engine generates with a pipeline class."""

from common.domain.models.known_pipelines import KNOWN_PIPELINES

WHOLE_PIPELINE = "whole_pipeline"
"""Serves any pipeline class, one image at a time."""
PIPELINE_CLASS_OF = {
    known.family: class_name for class_name, known in KNOWN_PIPELINES.items() if known.family is not None
}
"""The families whose images share denoising steps, and the pipeline class of diffusers that each serves."""
FAMILIES = (*PIPELINE_CLASS_OF, WHOLE_PIPELINE)


def shares_steps(family: str) -> bool:
    """Return whether images of one model share denoising steps, and resume from checkpoints."""
    return family != WHOLE_PIPELINE


def control_network_class(family: str) -> str | None:
    """Return the class of the control networks that a family takes; None if it takes none."""
    served = PIPELINE_CLASS_OF.get(family)
    return None if served is None else KNOWN_PIPELINES[served].controlnet


def takes_ip_adapters(family: str) -> bool:
    """Return whether models of a family can follow reference pictures through IP-Adapters."""
    served = PIPELINE_CLASS_OF.get(family)
    return served is not None and KNOWN_PIPELINES[served].takes_ip_adapters


def has_own_sizes(family: str) -> bool:
    """Return whether models of a family generate in sizes of their own, whatever size is requested."""
    served = PIPELINE_CLASS_OF.get(family)
    return served is not None and KNOWN_PIPELINES[served].has_own_sizes


def family_of(pipeline_class: str) -> str:
    """Return the family that serves this pipeline class best."""
    known = KNOWN_PIPELINES.get(pipeline_class)
    return WHOLE_PIPELINE if known is None else known.family or WHOLE_PIPELINE


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

"""What an entry of the catalog states but its pipeline does not support. Pure."""

import json

from common.domain.models.pipeline_traits import PipelineTraits
from common.domain.models.spec import ModelSpec
from common.domain.models.traits import Guidance


def promises_beyond(spec: ModelSpec, found: PipelineTraits) -> str | None:
    """Describe what the entry states but a pipeline with these traits does not support.

    Returns None if the pipeline supports all of it.
    """
    problems = []
    if ignored := [sampler for sampler in spec.samplers if sampler not in found.samplers]:
        problems.append(
            f"the model does not obey the samplers {', '.join(ignored)}; write "
            f'"samplers": {json.dumps([sampler.value for sampler in found.samplers])}, or fewer of them'
        )
    if spec.traits != found.traits and not _promises_less(spec, found):
        written = json.dumps(found.traits.model_dump(mode="json"))
        problems.append(f'the model obeys other parameters; write "traits": {written}')
    if spec.limits.side_multiple % found.side_multiple:
        problems.append(
            f"the model generates sides that are multiples of {found.side_multiple} pixels only; write "
            f'"limits": {{"side_multiple": {found.side_multiple}}}'
        )
    if spec.limits.min_steps < found.min_steps:
        problems.append(
            f"the model needs {found.min_steps} steps or more; write "
            f'"limits": {{"min_steps": {found.min_steps}}}'
        )
    if (
        spec.max_prompt_tokens
        and found.max_prompt_tokens
        and spec.max_prompt_tokens > found.max_prompt_tokens
    ):
        problems.append(
            f"the model reads {found.max_prompt_tokens} tokens of a prompt; write "
            f'"max_prompt_tokens": {found.max_prompt_tokens}, or leave it out'
        )
    return "; ".join(problems) or None


def _promises_less(spec: ModelSpec, found: PipelineTraits) -> bool:
    """Return whether the entry states the guidance, negative prompt and inputs found, or omits them.

    For an unknown class, only the entry can state how its guidance works.
    """
    stated, kinds = spec.traits, {found.traits.guidance, Guidance.NONE}
    if not found.is_known and found.traits.guidance is not Guidance.NONE:
        kinds = set(Guidance)
    if found.is_known and stated.guidance is Guidance.CLASSIFIER_FREE:
        kinds = kinds if stated.guidance_off_at == found.traits.guidance_off_at else set()
    return (
        stated.guidance in kinds
        and (found.traits.negative_prompt or not stated.negative_prompt)
        and not stated.exceeds(found.traits)
    )

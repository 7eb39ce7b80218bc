"""Warnings for an accepted submission that the model does not follow entirely. Pure.

The API computes them at submission, the worker again when it prepares the prompt. Both use this
module, so that they agree.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from common.domain.models.traits import PromptSyntax
from common.domain.parameters import TORCH_SEEDS, GenerationParameters
from common.domain.prompt_weights import MAX_CHUNKS, fragments_of
from common.domain.task import Task
from common.domain.task_records import TaskWarning

TokenStarts = Callable[[str], Sequence[int] | None]
"""Returns the index of the first character of each token of a text, without begin and end tokens;
None if the tokenizer is not available.
"""

PROMPT_TRUNCATED = "prompt_truncated"
NEGATIVE_PROMPT_WITHOUT_EFFECT = "negative_prompt_without_effect"
PROMPT_WEIGHTS_IGNORED = "prompt_weights_ignored"
SEED_ABOVE_32_BITS = "seed_above_32_bits"

_WEIGHTED = re.compile(r"[(\[][^()\[\]]+:\d+(?:\.\d+)?[)\]]|\(\([^()]+\)\)|\[\[[^\[\]]+\]\]")
"""Weights that are no usual text: with a number, or in double brackets."""
_MOST_QUOTED = 30


def warnings_of(
    parameters: GenerationParameters,
    *,
    max_prompt_tokens: int | None = None,
    token_starts: TokenStarts | None = None,
    can_guide: bool = True,
) -> tuple[TaskWarning, ...]:
    """Return all warnings for these parameters.

    Truncation is predicted only with a limit and a tokenizer. `can_guide` is False for a model that
    never uses a negative prompt, whatever the guidance scale.
    """
    texts = [("/prompt", parameters.prompt)]
    warnings = []
    if parameters.negative_prompt and not (can_guide and parameters.is_guided):
        warnings.append(_negative_prompt_without_effect(parameters, can_guide=can_guide))
    elif parameters.negative_prompt:
        texts.append(("/negative_prompt", parameters.negative_prompt))
    for pointer, text in texts:
        if parameters.prompt_syntax is PromptSyntax.WEIGHTED:
            limit = None if max_prompt_tokens is None else max_prompt_tokens * MAX_CHUNKS
            places = _token_places(text, token_starts)
        else:
            limit, places = max_prompt_tokens, None if token_starts is None else token_starts(text)
            warnings += _of_weights(pointer, text)
        warnings += _of_length(pointer, text, limit, places)
    largest = parameters.seed + parameters.num_images - 1
    if largest >= TORCH_SEEDS:
        warnings.append(_large_seed(parameters))
    return tuple(sorted(warnings, key=lambda warning: (warning.pointer != "/prompt", warning.pointer)))


def warned(task: Task, exact: Iterable[TaskWarning]) -> Task:
    """Add warnings to the task; each replaces one of the same code and pointer."""
    by_key = {(warning.code, warning.pointer): warning for warning in (*task.warnings, *exact)}
    warnings = tuple(by_key.values())
    return task if warnings == task.warnings else replace(task, warnings=warnings)


def parameters_with_effect(task: Task) -> GenerationParameters:
    """Return the parameters for an image's record: without a negative prompt that had no effect."""
    parameters = task.parameters
    warned_of = any(warning.code == NEGATIVE_PROMPT_WITHOUT_EFFECT for warning in task.warnings)
    if parameters.negative_prompt is None or (parameters.is_guided and not warned_of):
        return parameters
    return parameters.model_copy(update={"negative_prompt": None})


def _token_places(text: str, token_starts: TokenStarts | None) -> Sequence[int] | None:
    """Return the index in a weighted prompt of the first character of each token."""
    places: list[int] = []
    if token_starts is None:
        return None
    for fragment in fragments_of(text):
        starts = token_starts(fragment.text)
        if starts is None:
            return None
        places += (fragment.places[start] for start in starts)
    return places


def _of_length(
    pointer: str, text: str, limit: int | None, starts: Sequence[int] | None
) -> Iterable[TaskWarning]:
    if limit is not None and starts is not None and len(starts) > limit:
        yield TaskWarning(
            code=PROMPT_TRUNCATED,
            pointer=pointer,
            detail=f"{_name(pointer)} has {len(starts)} tokens and the model reads {limit}. It ignores everything from "
            f"character {starts[limit] + 1} on: {_quoted(text[starts[limit] :])}.",
            tokens=len(starts),
        )


def _of_weights(pointer: str, text: str) -> Iterable[TaskWarning]:
    if found := _WEIGHTED.search(text):
        yield TaskWarning(
            code=PROMPT_WEIGHTS_IGNORED,
            pointer=pointer,
            detail=f"The model reads {_quoted(found[0])} literally. Weights apply with `prompt_syntax` `weighted`, "
            "where the model offers it.",
        )


def _negative_prompt_without_effect(parameters: GenerationParameters, *, can_guide: bool) -> TaskWarning:
    reason = (
        f"`guidance_scale` is {parameters.guidance_scale:g}. A negative prompt needs a `guidance_scale` above "
        f"{parameters.guidance_off_at:g}."
        if can_guide
        else f"the model {parameters.model!r} uses no negative prompt."
    )
    return TaskWarning(
        code=NEGATIVE_PROMPT_WITHOUT_EFFECT,
        pointer="/negative_prompt",
        detail=f"The negative prompt has no effect: {reason}",
    )


def _large_seed(parameters: GenerationParameters) -> TaskWarning:
    seed = max(parameters.seed, TORCH_SEEDS)
    return TaskWarning(
        code=SEED_ABOVE_32_BITS,
        pointer="/seed",
        detail=f"Seed {seed} gives an image of its own. Programs that use torch's generator directly give that of "
        f"seed {seed % TORCH_SEEDS}, because torch uses only the lowest 32 bits of a seed.",
    )


def _name(pointer: str) -> str:
    return "The negative prompt" if pointer == "/negative_prompt" else "The prompt"


def _quoted(text: str) -> str:
    shown = " ".join(text.split())
    return f"“{shown}”" if len(shown) <= _MOST_QUOTED else f"“{shown[:_MOST_QUOTED].rstrip()}…”"

"""Inspect a diffusers pipeline's call: its arguments, and whether it can be served."""

import inspect
from collections.abc import Mapping
from typing import Any

from common.domain.models.unservable_pipelines import (
    NEEDS_INPUT,
    NO_STEP_CALLBACK,
    NOT_TEXT_TO_IMAGE,
    VIDEO,
)

_VIDEO_ARGUMENTS = frozenset(("num_frames", "video", "video_length", "frames_per_second"))
_NEEDED_ARGUMENTS = frozenset(("prompt", "num_inference_steps", "generator"))


def call_of(pipeline: Any) -> Mapping[str, inspect.Parameter]:
    """Return the parameters of the pipeline's call (or of its class's) by name."""
    return inspect.signature(pipeline.__call__).parameters


def unservable_call(call: Mapping[str, inspect.Parameter]) -> str | None:
    """Return why no pipeline with this call can be served; None when the signature shows no reason."""
    required = {
        name
        for name, parameter in call.items()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    if call.keys() & _VIDEO_ARGUMENTS:
        return VIDEO
    if "callback_on_step_end" not in call:
        return NO_STEP_CALLBACK
    if not call.keys() >= _NEEDED_ARGUMENTS:
        return NOT_TEXT_TO_IMAGE
    return NEEDS_INPUT if required - {"self", "prompt"} else None

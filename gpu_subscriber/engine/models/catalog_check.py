"""Check a loaded pipeline against its catalog entry, which must not promise too much."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from transformers import PretrainedConfig

from common.domain.models.known_pipelines import PIPELINE, Configs
from common.domain.models.pipeline_traits import (
    PipelineTraits,
    obeyed_samplers,
    pipeline_traits,
)
from common.domain.models.promises import promises_beyond
from common.domain.models.spec import ModelSpec
from common.domain.models.traits import Guidance, ModelTraits
from common.domain.models.unservable_pipelines import UNSERVABLE_PIPELINES
from gpu_subscriber.engine.errors import ModelRefusedError
from gpu_subscriber.engine.models.pipeline_calls import call_of, unservable_call
from gpu_subscriber.engine.models.prompt_tokens import PromptTokens
from gpu_subscriber.engine.models.samplers import scheduler_config


def check_entry(spec: ModelSpec, pipeline: Any) -> None:
    """Raise ModelRefusedError, with what to change in the entry, when the entry does not fit."""
    class_name = type(pipeline).__name__
    if reason := UNSERVABLE_PIPELINES.get(class_name) or unservable_call(call_of(pipeline)):
        raise ModelRefusedError(f"a {class_name} cannot be served: {reason}")
    found = found_traits(pipeline)
    if not found.samplers:
        raise ModelRefusedError(
            f"a {class_name} cannot step with a {type(pipeline.scheduler).__name__}: use the scheduler that the model "
            "was trained with"
        )
    if problems := promises_beyond(spec, found):
        raise ModelRefusedError(f"the catalog entry promises what a {class_name} does not keep: {problems}")


_SAME = ("in_channels", "cross_attention_dim", "joint_attention_dim", "block_out_channels")
"""The properties that a control network shares with the denoiser that it steers."""


def check_control_network(name: str, network: Any, denoiser: Any) -> None:
    """Raise ModelRefusedError when a control network does not fit the model."""
    for key in _SAME:
        own, needed = (json.dumps(part.config.get(key)) for part in (network, denoiser))
        if own != needed:
            raise ModelRefusedError(
                f"controlnets/{name}: its {key} is {own} and the model's {needed}; use a control network of this "
                "architecture"
            )
    if network.config.get("guidance_embeds") and not denoiser.config.get("guidance_embeds"):
        raise ModelRefusedError(
            f"controlnets/{name}: it needs a model that takes the guidance scale as an input"
        )
    if network.config.get("num_mode") is not None:
        raise ModelRefusedError(f"controlnets/{name}: networks of several modes are not supported")
    if network.config.get("conditioning_embedding_channels") is not None:
        raise ModelRefusedError(
            f"controlnets/{name}: networks with an encoder of their own are not supported"
        )
    if network.config.get("controlnet_conditioning_channel_order") == "bgr":
        raise ModelRefusedError(f"controlnets/{name}: control images in the order BGR are not supported")


def found_traits(pipeline: Any) -> PipelineTraits:
    """Return what a loaded pipeline obeys.

    For a class missing from the table, the call's arguments decide.
    """
    found = replace(
        pipeline_traits(type(pipeline).__name__, _configs(pipeline)),
        max_prompt_tokens=PromptTokens(pipeline).limit,
    )
    if found.is_known:
        return found
    call = call_of(pipeline)
    is_guided = "guidance_scale" in call
    return replace(
        found,
        traits=ModelTraits(
            guidance=Guidance.CLASSIFIER_FREE if is_guided else Guidance.NONE,
            negative_prompt=is_guided and "negative_prompt" in call,
        ),
        # Such a class may be written for its own scheduler. The author of the entry may restrict it
        # further.
        samplers=obeyed_samplers(found.class_name, scheduler_config(pipeline.scheduler)),
    )


def _configs(pipeline: Any) -> Configs:
    parts = {name: getattr(part, "config", None) for name, part in pipeline.components.items()}
    configs = {name: config for name, config in parts.items() if isinstance(config, Mapping)}
    configs |= {
        name: config.to_dict() for name, config in parts.items() if isinstance(config, PretrainedConfig)
    }
    return {**configs, PIPELINE: pipeline.config, "scheduler": scheduler_config(pipeline.scheduler)}

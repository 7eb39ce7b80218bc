"""The traits of a diffusers model, read from the JSON files of its folder: no torch, no weights."""

from dataclasses import replace
from pathlib import Path

from common.domain.models.known_pipelines import PIPELINE, prompt_reading, served_class
from common.domain.models.model_files import ModelFiles
from common.domain.models.pipeline_traits import PipelineTraits, pipeline_traits
from common.domain.models.prompt_reading import PromptReading
from common.domain.models.unservable_pipelines import UNSERVABLE_PIPELINES
from common.model_files.local_model import local_model
from common.model_files.weights import (
    INDEX,
    UnservableModelError,
    components_of,
    folder_weights,
    read_json,
)

_MOST_TOKENS = 2**16
"""Tokenizers without a limit state an astronomic one."""


def model_traits(files: ModelFiles) -> PipelineTraits | None:
    """Return the traits of a model; None if its files are not readable here.

    Raises UnservableModelError, also for weights that no worker would load.
    """
    local = local_model(files)
    if local is None:
        return None
    if local.checkpoint is None:
        index = read_json(local.folder / INDEX)
        if index:
            folder_weights(local.folder, index, variant=files.variant, without=files.components)
    return folder_traits(local.folder)


def folder_traits(folder: Path) -> PipelineTraits | None:
    """Return the traits of the pipeline in this folder; None if there is no readable one.

    Raises UnservableModelError.
    """
    index = read_json(folder / INDEX)
    if not index:
        return None
    components_of(index)
    class_name = served_class(index["_class_name"])
    if reason := UNSERVABLE_PIPELINES.get(class_name):
        raise UnservableModelError(f"a {class_name} cannot be served: {reason}")
    parts = (part for part in sorted(folder.iterdir()) if part.is_dir() and part.name in index)
    configs = {
        part.name: read_json(part / ("scheduler_config.json" if part.name == "scheduler" else "config.json"))
        for part in parts
    }
    found = pipeline_traits(class_name, {**configs, PIPELINE: index})
    if not found.samplers:
        scheduler = configs.get("scheduler", {}).get("_class_name")
        raise UnservableModelError(
            f"a {class_name} cannot step with a {scheduler}: use the scheduler that the model was trained with"
        )
    return replace(found, max_prompt_tokens=_prompt_tokens(folder))


def folder_reading(folder: Path) -> PromptReading | None:
    """Return how the pipeline in this folder reads prompts; None if unknown."""
    index = read_json(folder / INDEX)
    # An absent component is [null, null].
    present = [name for name, part in index.items() if isinstance(part, list) and part[:1] != [None]]
    return prompt_reading(served_class(str(index.get("_class_name"))), present)


def configured_tokens(folder: Path, reading: PromptReading) -> int | None:
    """Return how many tokens of a prompt fit in the length that a tokenizer's folder states; None if unknown."""
    length = read_json(folder / "tokenizer_config.json").get("model_max_length")
    if not isinstance(length, int) or not reading.special_tokens < length <= _MOST_TOKENS:
        return None
    return reading.limit(length, prefix_tokens=0)


def _prompt_tokens(folder: Path) -> int | None:
    """Return how many tokens of a prompt the pipeline reads at most; None if unknown."""
    reading = folder_reading(folder)
    if reading is None or reading.length is not None:
        return None if reading is None else reading.usual_limit
    return configured_tokens(folder / reading.tokenizer, reading)

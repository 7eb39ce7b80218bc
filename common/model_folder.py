"""The traits of a diffusers model, read from the JSON files of its folder: no torch, no weights."""

from pathlib import Path
from typing import Any

from common.domain.models.model_files import ModelFiles
from common.domain.models.pipeline_traits import PIPELINE, PipelineTraits, pipeline_traits
from common.domain.models.unservable_pipelines import UNSERVABLE_PIPELINES
from common.model_files.local_model import local_model
from common.model_files.weights import (
    INDEX,
    UnservableModelError,
    components_of,
    folder_weights,
    read_json,
)


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
    class_name = index["_class_name"]
    if reason := UNSERVABLE_PIPELINES.get(class_name):
        raise UnservableModelError(f"a {class_name} cannot be served: {reason}")
    parts = (part for part in sorted(folder.iterdir()) if part.is_dir() and part.name in index)
    configs = {
        part.name: read_json(part / ("scheduler_config.json" if part.name == "scheduler" else "config.json"))
        for part in parts
    }
    return pipeline_traits(class_name, {**configs, PIPELINE: index})


def entry_fields(found: PipelineTraits) -> dict[str, Any]:
    """Return the fields of a catalog entry that state these traits."""
    return {
        "samplers": [sampler.value for sampler in found.samplers],
        "traits": found.traits.model_dump(mode="json"),
        "limits": {"side_multiple": found.side_multiple, "min_steps": found.min_steps},
    }

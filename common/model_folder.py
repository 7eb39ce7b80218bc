"""The traits of a diffusers model, read from the JSON files of its folder: no torch, no weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.domain.models.pipeline_traits import PIPELINE, PipelineTraits, pipeline_traits
from common.domain.models.unservable_pipelines import UNSERVABLE_PIPELINES

INDEX = "model_index.json"
_MAX_BYTES = 1_000_000


class UnservableModelError(Exception):
    """The pipeline class in the folder cannot be served; the text gives the reason."""


def folder_traits(folder: Path) -> PipelineTraits | None:
    """Return the traits of the pipeline in this folder; None if there is no readable one.

    Raises UnservableModelError.
    """
    index = _read(folder / INDEX)
    class_name = index.get("_class_name")
    if not isinstance(class_name, str):
        return None
    if reason := UNSERVABLE_PIPELINES.get(class_name):
        raise UnservableModelError(f"a {class_name} cannot be served: {reason}")
    parts = (part for part in sorted(folder.iterdir()) if part.is_dir() and part.name in index)
    configs = {
        part.name: _read(part / ("scheduler_config.json" if part.name == "scheduler" else "config.json"))
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


def _read(file: Path) -> Mapping[str, Any]:
    """Read a JSON object; empty if there is none."""
    try:
        if file.stat().st_size > _MAX_BYTES:
            return {}
        read = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}

"""The file of the model catalog: entries are completed from their models' folders and checked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from common.domain.models.catalog import ModelCatalog
from common.domain.models.families import WHOLE_PIPELINE, family_problem
from common.domain.models.pipeline_traits import PipelineTraits
from common.model_folder import UnservableModelError, entry_fields, folder_traits

_MUST_STATE = ("samplers", "traits", "limits.side_multiple")


class ModelEntries(BaseModel):
    """The file with unchecked entries."""

    model_config = ConfigDict(extra="forbid")

    models: list[Any]


class CatalogEntryError(Exception):
    """An entry does not fit its model.

    The text names the field, the reason and what to write instead.
    """


def parse_catalog(data: bytes, *, beside: Path) -> ModelCatalog:
    """Parse a catalog file; relative sources start from the folder `beside`.

    Raises CatalogEntryError and pydantic's ValidationError.
    """
    content = ModelEntries.model_validate_json(data)
    entries = [_located(entry, beside) for entry in content.models]
    folders = [_found(entry, f"models/{number}") for number, entry in enumerate(entries)]
    completed = [
        _completed(entry, found, f"models/{number}")
        for number, (entry, found) in enumerate(zip(entries, folders, strict=True))
    ]
    catalog = ModelCatalog.model_validate_json(json.dumps({"models": completed}))
    for number, (spec, found) in enumerate(zip(catalog.models, folders, strict=True)):
        problem = family_problem(spec.family, None if found is None else found.class_name)
        if problem is None and found is not None and found.is_known:
            problem = spec.promises_beyond(found)
        if problem is not None:
            raise CatalogEntryError(f"models/{number}: {problem}")
    return catalog


def _located(entry: Any, beside: Path) -> Any:
    """Make the folders of an entry absolute; relative ones start from the folder of the catalog."""
    if not isinstance(entry, dict):
        return entry
    named = {name: entry[name] for name in ("source", "tokenizer") if isinstance(entry.get(name), str)}
    found = {name: beside / value for name, value in named.items()}
    return {**entry, **{name: str(folder) for name, folder in found.items() if folder.is_dir()}}


def _completed(entry: Any, found: PipelineTraits | None, where: str) -> Any:
    """Fill in the fields that the entry omits from the model's folder."""
    if not isinstance(entry, dict) or not isinstance(entry.get("source"), str):
        return entry
    if found is not None and found.is_known:
        fields = entry_fields(found)
        limits = entry.get("limits", {})
        if isinstance(limits, Mapping):
            fields["limits"] = {**fields["limits"], **limits}
        return {**fields, **entry, "limits": fields["limits"] if isinstance(limits, Mapping) else limits}
    if entry.get("family") == WHOLE_PIPELINE and (missing := _missing(entry)):
        raise CatalogEntryError(
            f"{where}: the entry of a {WHOLE_PIPELINE} model must state {', '.join(missing)} where its folder "
            "cannot be read here, or its class is not known. `python -m gpu_subscriber.describe_model FOLDER` "
            "prints them"
        )
    return entry


def _missing(entry: Mapping[str, Any]) -> list[str]:
    limits = entry.get("limits")
    stated = {*entry, *(f"limits.{name}" for name in limits)} if isinstance(limits, Mapping) else set(entry)
    return [name for name in _MUST_STATE if name not in stated]


def _found(entry: Any, where: str) -> PipelineTraits | None:
    source = entry.get("source") if isinstance(entry, dict) else None
    try:
        return folder_traits(Path(source)) if isinstance(source, str) else None
    except UnservableModelError as error:
        raise CatalogEntryError(f"{where}: {error}") from error

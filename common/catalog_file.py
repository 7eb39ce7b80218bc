"""The file of the model catalog: entries are completed from their models' folders and checked."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from common.domain.models.catalog import ModelCatalog
from common.domain.models.families import FAMILIES, family_problem
from common.domain.models.model_files import ModelFiles
from common.domain.models.pipeline_traits import PipelineTraits
from common.model_files.weights import UnservableModelError
from common.model_folder import entry_fields, model_traits

_PATHS = ("source", "config", "tokenizer")
_DEFAULTS_FIT = ("stable_diffusion", "stable_diffusion_xl")
"""The families whose models usually support what an entry declares by default."""
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
    """Make the files and folders of an entry absolute; relative ones start from the folder of the catalog."""
    if not isinstance(entry, dict):
        return entry
    found = {name: _path(entry[name], beside) for name in _PATHS if name in entry}
    if isinstance(components := entry.get("components"), Mapping):
        found["components"] = {name: _path(value, beside) for name, value in components.items()}
    return {**entry, **found}


def _path(value: Any, beside: Path) -> Any:
    return str(beside / value) if isinstance(value, str) and (beside / value).exists() else value


def _completed(entry: Any, found: PipelineTraits | None, where: str) -> Any:
    """Fill in the fields that the entry omits from the model's folder."""
    if not isinstance(entry, dict) or not isinstance(entry.get("source"), str):
        return entry
    if found is not None and found.is_known:
        fields = entry_fields(found)
        parts = {name: entry[name] for name in ("limits", "traits") if isinstance(entry.get(name), Mapping)}
        if parts.get("traits", {}).get("guidance", found.traits.guidance) != found.traits.guidance:
            del fields["traits"]
        return {**fields, **entry, **{name: {**fields.get(name, {}), **part} for name, part in parts.items()}}
    family = entry.get("family")
    if family in FAMILIES and family not in _DEFAULTS_FIT and (missing := _missing(entry)):
        raise CatalogEntryError(
            f"{where}: the entry of a {family} model must state {', '.join(missing)} where its folder "
            "cannot be read here, or its class is not known. `python -m gpu_subscriber.describe_model FOLDER` "
            "prints them; docs/models.md has those of the official models"
        )
    return entry


def _missing(entry: Mapping[str, Any]) -> list[str]:
    limits = entry.get("limits")
    stated = {*entry, *(f"limits.{name}" for name in limits)} if isinstance(limits, Mapping) else set(entry)
    return [name for name in _MUST_STATE if name not in stated]


def _found(entry: Any, where: str) -> PipelineTraits | None:
    named = (
        {name: entry[name] for name in ModelFiles.model_fields if name in entry}
        if isinstance(entry, dict)
        else {}
    )
    try:
        files = ModelFiles.model_validate(named)
    except ValidationError:  # the catalog's validation reports it with all other fields
        return None
    try:
        return model_traits(files)
    except UnservableModelError as error:
        raise CatalogEntryError(f"{where}: {error}") from error

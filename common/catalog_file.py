"""The file of the model catalog: entries are completed from their models' folders and checked."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from common.domain.models.catalog import ModelCatalog
from common.domain.models.entry_completion import completed_entry
from common.domain.models.families import PIPELINE_CLASS_OF, WHOLE_PIPELINE, family_problem
from common.domain.models.known_pipelines import KNOWN_PIPELINES
from common.domain.models.model_files import ModelFiles
from common.domain.models.pipeline_traits import PipelineTraits, assumed_traits
from common.domain.models.promises import promises_beyond
from common.domain.models.spec import ModelSpec
from common.model_files.example_file import read_example
from common.model_files.ip_adapter_file import check_ip_adapter_file
from common.model_files.lora_file import check_lora_file
from common.model_files.weights import UnservableModelError
from common.model_folder import model_traits

_PATHS = ("source", "config", "tokenizer")
_MUST_STATE = ("samplers", "traits", "limits.side_multiple")
"""The fields of an entry of a pipeline that darkroom does not know."""


class ModelEntries(BaseModel):
    """The file with unchecked entries."""

    model_config = ConfigDict(extra="forbid")

    models: list[Any]


class CatalogEntryError(Exception):
    """Entries do not fit their models.

    The text has a line for each entry, which names the field, the reason and what to write instead.
    """


def parse_catalog(data: bytes, *, beside: Path) -> ModelCatalog:
    """Parse a catalog file; relative sources start from the folder `beside`.

    Raises CatalogEntryError and pydantic's ValidationError.
    """
    content = ModelEntries.model_validate_json(data)
    entries = [_located(entry, beside) for entry in content.models]
    folders: list[PipelineTraits | None] = []
    completed, problems = [], []
    for number, entry in enumerate(entries):
        try:
            folders.append(_found(entry))
            completed.append(_completed(entry, folders[-1]))
        except UnservableModelError as error:
            problems.append(f"models/{number}: {error}")
    if problems:
        raise CatalogEntryError("\n".join(problems))
    catalog = ModelCatalog.model_validate_json(json.dumps({"models": completed}))
    for number, (spec, found) in enumerate(zip(catalog.models, folders, strict=True)):
        if problem := _problem(spec, found):
            problems.append(f"models/{number}: {problem}")
    if problems:
        raise CatalogEntryError("\n".join(problems))
    return catalog


def _problem(spec: ModelSpec, found: PipelineTraits | None) -> str | None:
    if problem := family_problem(spec.family, None if found is None else found.class_name):
        return problem
    if found is not None and found.is_known and (problem := promises_beyond(spec, found)):
        return problem
    return "; ".join(_file_problems(spec)) or None


def _file_problems(spec: ModelSpec) -> Iterator[str]:
    """Describe files that cannot be used; those that are not readable here count as good."""
    for field, weights, check in (
        ("loras", spec.loras, check_lora_file),
        ("ip_adapters", spec.ip_adapters, check_ip_adapter_file),
    ):
        for number, file in enumerate(Path(each.source) for each in weights):
            try:
                if file.is_file():
                    check(file)
            except UnservableModelError as error:
                yield f"`{field}/{number}/source`: {error}"
    try:
        if spec.example is not None:
            read_example(spec.example)
    except UnservableModelError as error:
        yield f"`example/file`: {error}"


def _located(entry: Any, beside: Path) -> Any:
    """Make the files and folders of an entry absolute; relative ones start from the folder of the catalog."""
    if not isinstance(entry, dict):
        return entry
    found = {name: _path(entry[name], beside) for name in _PATHS if name in entry}
    if isinstance(components := entry.get("components"), Mapping):
        found["components"] = {name: _path(value, beside) for name, value in components.items()}
    if isinstance(example := entry.get("example"), Mapping) and "file" in example:
        found["example"] = {**example, "file": _path(example["file"], beside)}
    for name in ("loras", "controlnets", "ip_adapters"):
        if isinstance(listed := entry.get(name), list):
            found[name] = [
                {
                    **each,
                    **{key: _path(each[key], beside) for key in ("source", "image_encoder") if key in each},
                }
                if isinstance(each, dict)
                else each
                for each in listed
            ]
    return {**entry, **found}


def _path(value: Any, beside: Path) -> Any:
    return str(beside / value) if isinstance(value, str) and (beside / value).exists() else value


def _completed(entry: Any, found: PipelineTraits | None) -> Any:
    """Fill in the fields that the entry omits from the model's folder.

    Raises UnservableModelError if only the entry could state them.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("source"), str):
        return entry
    if found is not None and found.is_known:
        return completed_entry(entry, found)
    family = str(entry.get("family"))
    served = PIPELINE_CLASS_OF.get(family)
    if missing := _missing(entry, family, served):
        raise UnservableModelError(
            f"the entry of a {family} model must state {', '.join(missing)} where its folder "
            "cannot be read here, or its class is not known. `python -m gpu_subscriber.describe_model FOLDER` "
            "prints them; docs/models.md has those of the official models"
        )
    return entry if served is None else completed_entry(entry, assumed_traits(served))


def _missing(entry: Mapping[str, Any], family: str, served: str | None) -> list[str]:
    """Return the fields that an entry must state where the model's files are not readable."""
    required: tuple[str, ...] = _MUST_STATE if family == WHOLE_PIPELINE else ()
    if served is not None and KNOWN_PIPELINES[served].must_state_traits:
        required = ("traits",)
    limits = entry.get("limits")
    stated = {*entry, *(f"limits.{name}" for name in limits)} if isinstance(limits, Mapping) else set(entry)
    return [name for name in required if name not in stated]


def _found(entry: Any) -> PipelineTraits | None:
    """Raises UnservableModelError."""
    named = (
        {name: entry[name] for name in ModelFiles.model_fields if name in entry}
        if isinstance(entry, dict)
        else {}
    )
    try:
        files = ModelFiles.model_validate(named)
    except ValidationError:  # the catalog's validation reports it with all other fields
        return None
    return model_traits(files)

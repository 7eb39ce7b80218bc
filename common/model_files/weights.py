"""The weights files of a model in the layout of diffusers: which ones are loaded, and which are refused.

Only safetensors are opened, since pickled weights run code when they are read. Torch-free: the API
refuses a model for the same reasons as the worker.
"""

import json
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.domain.models.model_files import SINGLE_FILE

INDEX = "model_index.json"
_MAX_JSON_BYTES = 1_000_000
PICKLES = frozenset((".bin", ".ckpt", ".pt", ".pth", ".pkl"))
HOW_TO_CONVERT = (
    "darkroom opens safetensors only, because pickled weights can run code. Convert a model that you trust: "
    "`DiffusionPipeline.from_pretrained(FOLDER, use_safetensors=False).save_pretrained(NEW_FOLDER)`, or for a "
    "single file `StableDiffusionPipeline.from_single_file(FILE).save_pretrained(NEW_FOLDER)`"
)
_WEIGHTS = re.compile(
    r"(?:diffusion_pytorch_)?model(?:\.(?P<variant>[A-Za-z0-9_]+))?(?:-\d{5}-of-\d{5})?"
    r"(?:\.(?P<old_variant>[A-Za-z0-9_]+))?\.safetensors"
)


class UnservableModelError(Exception):
    """The model cannot be served; the text gives the reason, and what to do."""


@dataclass(frozen=True, slots=True)
class ComponentWeights:
    """The weights files of one component, and the variant that they are."""

    files: tuple[Path, ...]
    variant: str | None


def components_of(index: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return the library and class of each component that a `model_index.json` names.

    Raises UnservableModelError where the index asks for code of its own.
    """
    named = index.get("_class_name")
    if named is None:
        raise UnservableModelError(f"the folder has no readable {INDEX} with a `_class_name`")
    if not isinstance(named, str):
        raise UnservableModelError(
            f"`_class_name` in model_index.json must be the name of a pipeline class of diffusers, got {named!r}. "
            "Code in a model's folder is never run"
        )
    return {
        name: (value[0], value[1])
        for name, value in index.items()
        if isinstance(value, list) and len(value) == 2 and all(isinstance(part, str) for part in value)
    }


def read_json(file: Path) -> Mapping[str, Any]:
    """Read a JSON object; empty if there is none."""
    try:
        if file.stat().st_size > _MAX_JSON_BYTES:
            return {}
        read = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return read if isinstance(read, dict) else {}


def folder_weights(
    folder: Path, index: Mapping[str, Any], *, variant: str | None = None, without: Container[str] = ()
) -> dict[str, ComponentWeights]:
    """Return the weights files to load of each component that has any. Raises UnservableModelError.

    - A component without the variant has its plain weights loaded.
    - Without a given variant, a component without plain weights has its only variant loaded.
    - The components `without` are loaded from elsewhere.
    """
    found = {}
    for name, (library, class_name) in components_of(index).items():
        if name in without:
            continue
        if (folder / name / f"{library}.py").exists():
            raise UnservableModelError(
                f"the class {class_name} of the component {name!r} is code in the model's folder, which is never run"
            )
        if weights := component_weights(folder / name, variant=variant):
            found[name] = weights
    if found and variant is not None and all(weights.variant != variant for weights in found.values()):
        raise UnservableModelError(
            f"`variant`: {folder} has no weights *.{variant}.safetensors; leave the field out, or name a variant "
            "that exists"
        )
    return found


def component_weights(folder: Path, *, variant: str | None = None) -> ComponentWeights | None:
    """Return the weights files to load of one component's folder; None if it has none."""
    if not folder.is_dir():
        return None
    by_variant: dict[str | None, list[Path]] = {}
    pickles = []
    for file in sorted(folder.iterdir()):
        if file.suffix in PICKLES:
            pickles.append(file.name)
        elif file.suffix == SINGLE_FILE and (match := _WEIGHTS.fullmatch(file.name)):
            by_variant.setdefault(match["variant"] or match["old_variant"], []).append(file)
    if not by_variant:
        if pickles:
            raise UnservableModelError(f"{folder} has only pickled weights ({pickles[0]}). {HOW_TO_CONVERT}")
        return None
    for chosen in (variant, None):
        if chosen in by_variant:
            return ComponentWeights(files=tuple(by_variant[chosen]), variant=chosen)
    if len(by_variant) > 1:
        names = ", ".join(sorted(map(str, by_variant)))
        raise UnservableModelError(f'{folder} has several variants: write "variant" with one of {names}')
    ((chosen, files),) = by_variant.items()
    return ComponentWeights(files=tuple(files), variant=chosen)

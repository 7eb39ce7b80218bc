"""Where the files of a catalog entry are on this machine: a folder, or a single file and its configuration."""

from dataclasses import dataclass
from pathlib import Path

from common.domain.models.model_files import SINGLE_FILE, ModelFiles
from common.model_files.single_file import shipped_config
from common.model_files.weights import HOW_TO_CONVERT, INDEX, PICKLES, UnservableModelError


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalModel:
    """The files of a model."""

    folder: Path
    """Has `model_index.json` and the components' configurations, and their weights unless a file has them."""
    checkpoint: Path | None = None
    """The single file with the weights."""


def local_model(files: ModelFiles) -> LocalModel | None:
    """Return where the model's files are; None if they are not readable here, or not downloaded yet.

    Raises UnservableModelError.
    """
    source = Path(files.source)
    if source.suffix in PICKLES:
        raise UnservableModelError(f"`source` is a pickled checkpoint ({source.name}). {HOW_TO_CONVERT}")
    for name, component in files.components.items():
        if not component.endswith(SINGLE_FILE) and not Path(component).is_dir():
            raise UnservableModelError(
                f"`components`: {name} must be a .safetensors file or an existing folder, got {component!r}"
            )
    if not files.is_single_file:
        if files.config is not None:
            raise UnservableModelError(
                "`config` is for a single file; leave it out where `source` is a folder"
            )
        return LocalModel(folder=source) if source.is_dir() else None
    if files.config is not None:
        folder = Path(files.config)
        if not folder.is_dir():
            return None
        if not (folder / INDEX).is_file():
            raise UnservableModelError(f"`config`: {folder} has no {INDEX}")
        return LocalModel(folder=folder, checkpoint=source)
    return LocalModel(folder=shipped_config(source), checkpoint=source) if source.is_file() else None

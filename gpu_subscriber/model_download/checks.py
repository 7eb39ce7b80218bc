"""Which files of a repository are downloaded, and which repositories are refused. No weights are downloaded for it.

The repository's names, its small JSON files and the headers of its weights are written into a folder.
The rules that the worker applies to a model's folder then choose the weights, or refuse the model.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from common.domain.models.model_files import SINGLE_FILE
from common.model_files.safetensors_header import InvalidSafetensorsError, check_layout, header_bytes
from common.model_files.weights import INDEX, UnservableModelError, components_of, folder_weights, read_json
from gpu_subscriber.describe_model import described
from gpu_subscriber.model_download.hub import HubFile, HubRepository, ModelDownloadError

_CONFIGURATIONS = frozenset((".json", ".txt", ".model", ".jinja"))
"""The suffixes of configurations and tokenizers."""
_TRAITS = frozenset((INDEX, "config.json", "scheduler_config.json", "tokenizer_config.json"))
"""The files from which a catalog entry is derived."""
_MAX_CONFIGURATION_BYTES = 100_000_000
_FIRST_BYTES = 65_536
"""Most headers fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedModel:
    """A repository whose model can be served."""

    files: tuple[HubFile, ...]
    """In the order of their download. The last one makes the folder a model."""
    entry: dict[str, Any]
    """The entry of the model catalog, without a `source`."""

    @property
    def size(self) -> int:
        return sum(file.size for file in self.files)


def checked_model(
    repository: HubRepository,
    *,
    max_bytes: int,
    scratch: Path,
    file: str | None = None,
    variant: str | None = None,
) -> CheckedModel:
    """Choose the files to download. `scratch` is an empty folder.

    Raises ModelDownloadError, and UnservableModelError for a model that the worker would refuse.
    """
    by_name = {each.name: each for each in repository.files}
    folder = scratch / repository.model.rpartition("/")[2]
    if file is not None:
        chosen = _single_file(repository, by_name, file, folder)
        entry = described(folder / PurePosixPath(file).name)
    else:
        chosen = _folder(repository, by_name, folder, variant=variant)
        entry = described(folder, variant=variant)
    model = CheckedModel(
        files=chosen, entry={name: value for name, value in entry.items() if name != "source"}
    )
    if model.size > max_bytes:
        raise ModelDownloadError(
            f"{repository.model} has {model.size / 1e9:.1f} GB, and the limit is {max_bytes / 1e9:.1f} GB: raise "
            "--max-gigabytes, or choose smaller weights with --variant"
        )
    return model


def _single_file(
    repository: HubRepository, by_name: dict[str, HubFile], name: str, folder: Path
) -> tuple[HubFile, ...]:
    if name not in by_name:
        raise ModelDownloadError(f"{repository.model} has no file {name}")
    if not name.endswith(SINGLE_FILE):
        raise UnservableModelError(f"{name} is no {SINGLE_FILE} file; pickled weights can run code")
    folder.mkdir(parents=True)
    (folder / PurePosixPath(name).name).write_bytes(_checked_header(repository, by_name[name]))
    return (by_name[name],)


def _folder(
    repository: HubRepository, by_name: dict[str, HubFile], folder: Path, *, variant: str | None
) -> tuple[HubFile, ...]:
    if INDEX not in by_name:
        raise UnservableModelError(
            f"{repository.model} has no {INDEX}, so it is not in the layout of diffusers. Download a single "
            f"checkpoint of it with --file NAME{SINGLE_FILE}"
        )
    for each in by_name.values():
        path = folder / each.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    _read_traits(repository, [by_name[INDEX]], folder)
    index = read_json(folder / INDEX)
    components = components_of(index)
    parts = [each for each in by_name.values() if _component(each) in components]
    _read_traits(repository, parts, folder)
    weights = [
        by_name[path.relative_to(folder).as_posix()]
        for found in folder_weights(folder, index, variant=variant).values()
        for path in found.files
    ]
    if not weights:
        raise UnservableModelError(f"{repository.model} has no weights in safetensors")
    for each in weights:
        _checked_header(repository, each)
    return (*_configurations(parts), *weights, by_name[INDEX])


def _component(file: HubFile) -> str | None:
    """Return the name of the folder of a file that is directly in one."""
    folder, _, _ = file.name.rpartition("/")
    return folder or None


def _configurations(files: Iterable[HubFile]) -> Iterator[HubFile]:
    for file in files:
        if PurePosixPath(file.name).suffix in _CONFIGURATIONS:
            if file.size > _MAX_CONFIGURATION_BYTES:
                raise ModelDownloadError(
                    f"{file.name} has {file.size} bytes; a configuration has at most {_MAX_CONFIGURATION_BYTES}"
                )
            yield file


def _read_traits(repository: HubRepository, files: Iterable[HubFile], folder: Path) -> None:
    for file in files:
        if PurePosixPath(file.name).name in _TRAITS and file.size <= _MAX_CONFIGURATION_BYTES:
            (folder / file.name).write_bytes(repository.read_start(file, file.size))


def _checked_header(repository: HubRepository, file: HubFile) -> bytes:
    """Return the start of a safetensors file, up to the end of its header."""
    try:
        start = repository.read_start(file, _FIRST_BYTES)
        length = header_bytes(start, size=file.size)
        if length > len(start):
            start = repository.read_start(file, length)
        check_layout(start, size=file.size)
    except InvalidSafetensorsError as error:
        raise UnservableModelError(f"{file.name} is not a readable safetensors file: {error}") from error
    return start[:length]

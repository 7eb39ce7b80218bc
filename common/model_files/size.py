"""The size of a model: the number of its weights, from the headers of its files."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from common.domain.models.model_files import SINGLE_FILE, ModelFiles
from common.model_files.local_model import LocalModel, local_model
from common.model_files.safetensors_header import InvalidSafetensorsError, read_tensors
from common.model_files.weights import (
    INDEX,
    UnservableModelError,
    component_weights,
    folder_weights,
    read_json,
)


def elements_of(files: ModelFiles) -> int:
    """Return the number of weights that are loaded; 0 where the files cannot be read yet."""
    try:
        local = local_model(files)
        loaded = () if local is None else tuple(_loaded_files(files, local))
        return sum(tensor.elements for file in loaded for tensor in read_tensors(file).values())
    except (UnservableModelError, InvalidSafetensorsError, OSError):
        return 0


def _loaded_files(files: ModelFiles, local: LocalModel) -> Iterator[Path]:
    if local.checkpoint is not None:
        yield local.checkpoint
    elif index := read_json(local.folder / INDEX):
        found = folder_weights(local.folder, index, variant=files.variant, without=files.components)
        yield from chain.from_iterable(weights.files for weights in found.values())
    for network in files.controlnets:
        if weights := component_weights(Path(network.source), variant=network.variant):
            yield from weights.files
    yield from (file for adapter in files.ip_adapters if (file := Path(adapter.source)).is_file())
    for encoder in sorted({adapter.image_encoder for adapter in files.ip_adapters}):
        if weights := component_weights(Path(encoder)):
            yield from weights.files
    for component in map(Path, files.components.values()):
        if component.suffix == SINGLE_FILE:
            yield component
        elif weights := component_weights(component, variant=files.variant):
            yield from weights.files

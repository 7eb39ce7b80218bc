"""How much memory models take, and how many of them fit.

On a GPU the weights of all loaded models and the working memory of the largest must fit its own
memory. On a CPU all loaded models share a part of the host's memory with other processes.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from common.domain.models.model_files import ModelFiles
from common.model_files.size import elements_of
from gpu_subscriber.engine.devices import Device

GPU_SHARE = 0.95
"""Of the memory that is free before the first load; the rest is for fragments."""
HOST_SHARE = 0.25
"""Of the host's memory, for the models of an engine without a GPU."""
ASSUMED_WORKING_SHARE = 0.25
"""Working memory of a model where it was not measured, as a share of its weights."""
_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelMemory:
    """What one loaded model takes of the device's memory, in bytes."""

    weights: int
    working: float = 0
    """What a single image takes besides the weights."""


def fit(models: Iterable[ModelMemory], capacity: float) -> bool:
    """Return whether these models can be loaded together: only one of them runs at a time."""
    known = tuple(models)
    return sum(model.weights for model in known) + max(model.working for model in known) <= capacity


def capacity_of(device: Device) -> float:
    """Return how many bytes loaded models may take."""
    if device.memory is not None:
        return GPU_SHARE * device.memory.free_bytes()
    return HOST_SHARE * host_memory()


def host_memory() -> int:
    """Return the memory that this process may use: the host's, or its container's limit."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in map(Path, _CGROUP_LIMITS):
        if file.is_file() and (text := file.read_text().strip()).isdecimal():
            limits.append(int(text))
    return min(limits)


def bytes_on(device: torch.device, networks: Iterable[Any]) -> int:
    """Return the bytes of all tensors of these networks that are on this device. Views count once."""
    storages = {
        plain.untyped_storage().data_ptr(): plain.untyped_storage().nbytes()
        for network in networks
        for tensor in (*network.parameters(), *network.buffers())
        for plain in _plain(tensor)
        if plain.device.type == device.type
    }
    return sum(storages.values())


def _plain(tensor: Any) -> list[torch.Tensor]:
    """Return the tensors of numbers and scales that a quantized tensor consists of."""
    if not hasattr(tensor, "__tensor_flatten__"):
        return [tensor]
    names, _ = tensor.__tensor_flatten__()
    return [getattr(tensor, name) for name in names]


def expected_memory(files: ModelFiles, device: Device) -> ModelMemory:
    """Return the expected memory of a model before its first load."""
    weights = elements_of(files) * device.dtype_of(files.dtype).itemsize
    return ModelMemory(weights=weights, working=assumed_working(weights, device))


def assumed_working(weights: int, device: Device) -> float:
    """Return the working memory of a model that was not measured."""
    return ASSUMED_WORKING_SHARE * weights if device.has_own_memory else 0

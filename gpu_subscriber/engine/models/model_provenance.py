"""Origin: the files, software and device behind a loaded model, for each image's record."""

import hashlib
import inspect
import json
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch

from common.domain.provenance import AppliedLora, DrawConditions, Environment
from gpu_subscriber.engine.runs.run_history import RunHistory

VERSIONED_PACKAGES = ("torch", "diffusers", "transformers")
_LONGEST_CONFIG_TEXT = 100


@cache
def software_versions() -> dict[str, str]:
    """Return the versions of the packages that affect pixels, by name."""
    return {name: version(name) for name in VERSIONED_PACKAGES}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedFiles:
    """The files that a pipeline was loaded from."""

    folder: Path | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
    """The SHA-256 of each file of weights, by its path in the model."""
    revision: str | None = None
    """The commit of a hub id."""


NO_FILES = LoadedFiles()
NO_NETWORKS: Mapping[str, Any] = MappingProxyType({})


def sampler_config(scheduler: Any) -> dict[str, bool | int | float | str]:
    """Return a diffusers scheduler's class as `class`, and its settings other than the defaults."""
    parameters = inspect.signature(type(scheduler).__init__).parameters
    config: dict[str, bool | int | float | str] = {"class": type(scheduler).__name__}
    for name, value in sorted(scheduler.config.items()):
        plain = value.tolist() if hasattr(value, "tolist") else value
        # A model's config may come from another scheduler class; settings that this class does not
        # accept have no effect.
        if name in parameters and plain != parameters[name].default:
            config[name] = plain if isinstance(plain, bool | int | float | str) else _brief(plain)
    return config


class ModelProvenance:
    """The origin of one loaded model.

    The environment is read on first use, after the warm-up has chosen the memory formats.
    """

    def __init__(
        self, pipeline: Any, files: LoadedFiles = NO_FILES, more: Mapping[str, Any] = NO_NETWORKS
    ) -> None:
        self._pipeline = pipeline
        self._more = more
        self._files = files
        self.attention: str | None = None
        """The kernel of attention, if it was chosen."""
        self.quantization: str | None = None

    @property
    def weights(self) -> Mapping[str, str]:
        """The SHA-256 of each loaded file of weights."""
        return self._files.weights

    @property
    def networks(self) -> dict[str, Any]:
        """The pipeline's networks, its control networks and its IP-Adapters by name."""
        parts = {**self._pipeline.components, **self._more}
        return {name: part for name, part in sorted(parts.items()) if isinstance(part, torch.nn.Module)}

    @cached_property
    def environment(self) -> Environment:
        """The environment in which this process draws with this model."""
        networks = self.networks
        device = torch.device(self._pipeline.device)
        is_cuda = device.type == "cuda"
        return Environment(
            device=torch.cuda.get_device_name(device) if is_cuda else device.type,
            capability=_capability(device),
            threads=None if is_cuda else torch.get_num_threads(),
            dtype=str(self._pipeline.dtype).removeprefix("torch."),
            channels_last=tuple(name for name, network in networks.items() if _is_channels_last(network)),
            compiled=any(
                module._compiled_call_impl is not None
                for network in networks.values()
                for module in network.modules()
            ),
            attention=self.attention,
            quantization=self.quantization,
            versions=_all_versions(is_cuda=is_cuda),
        )

    def draw_conditions(
        self,
        scheduler: Any,
        run_history: RunHistory,
        *,
        decoded_in_tiles: bool = False,
        decoded_together: int = 1,
        loras: tuple[AppliedLora, ...] = (),
    ) -> DrawConditions:
        """Return the conditions of a Run that was drawn with this model."""
        return DrawConditions(
            revision=self._files.revision,
            weights=dict(self.weights),
            sampler_config=sampler_config(scheduler),
            environment=self.environment,
            batches=tuple(run_history.batches),
            resumes=run_history.resumes,
            started_over_because=run_history.started_over_because,
            decoded_in_tiles=decoded_in_tiles,
            decoded_together=decoded_together,
            loras=loras,
        )


def _brief(value: Any) -> str:
    text = json.dumps(value, default=str)
    if len(text) <= _LONGEST_CONFIG_TEXT:
        return text
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _is_channels_last(network: torch.nn.Module) -> bool:
    """Return whether any kernel is channels-last.

    Kernels of one pixel match both formats and do not count.
    """
    return any(
        weight.ndim == 4
        and not weight.is_contiguous()
        and weight.is_contiguous(memory_format=torch.channels_last)
        for weight in network.parameters()
    )


def _capability(device: torch.device) -> str:
    if device.type != "cuda":
        return torch.backends.cpu.get_cpu_capability()
    major, minor = torch.cuda.get_device_capability(device)
    return f"{major}.{minor}"


def _all_versions(*, is_cuda: bool) -> dict[str, str]:
    versions = {**software_versions(), "python": platform.python_version()}
    try:
        versions["darkroom"] = version("darkroom")
    except PackageNotFoundError:  # run from a folder without an installed package
        versions["darkroom"] = "unknown"
    if is_cuda:
        versions |= {"cuda": str(torch.version.cuda), "cudnn": str(torch.backends.cudnn.version())}
    return versions

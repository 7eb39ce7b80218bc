"""The models that are loaded, and loading more: safetensors only, the least recently used one makes room."""

from collections import OrderedDict
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import structlog
from diffusers import DiffusionPipeline, StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from common.domain.model_catalog import ModelSpec
from gpu_subscriber.engine.devices import Device, is_device_lost
from gpu_subscriber.engine.errors import ModelUnavailableError
from gpu_subscriber.engine.families.stable_diffusion import StableDiffusion
from gpu_subscriber.engine.families.stepping import SteppingFamily
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline

_log = structlog.get_logger()

EMBEDDED_PREFIX = "embedded:"
EMBEDDED_FOLDERS = {"demo": "demo_model/weights"}

Family = SteppingFamily | WholePipeline
Load = Callable[[ModelSpec, Device], Family]


class ModelShelf:
    """Up to `capacity` loaded models by name; `load` is a parameter so that tests bring families of their own."""

    def __init__(self, specs: tuple[ModelSpec, ...], device: Device, *, capacity: int, load: Load) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._device = device
        self._capacity = max(1, capacity)
        self._load = load
        self._loaded: OrderedDict[str, Family] = OrderedDict()

    @property
    def loaded(self) -> frozenset[str]:
        """The names of the models that need no loading."""
        return frozenset(self._loaded)

    def offers(self, name: str) -> bool:
        """Whether the catalog has this model."""
        return name in self._specs

    def get(self, name: str) -> Family:
        """The model's family, loaded now if need be, which may take minutes. Raises ModelUnavailableError."""
        if name in self._loaded:
            self._loaded.move_to_end(name)
            return self._loaded[name]
        while len(self._loaded) >= self._capacity:
            evicted, _ = self._loaded.popitem(last=False)
            _log.info("model_unloaded", model=evicted)
        self._device.free_memory()
        family = self._loaded[name] = self._load(self._specs[name], self._device)
        _log.info("model_loaded", model=name)
        return family


def load_family(spec: ModelSpec, device: Device, *, compile_denoiser: bool = False) -> Family:
    """Load a model from its source and wrap it in the family its ModelSpec names. Raises ModelUnavailableError."""
    own_folder = model_folder(spec.source)
    try:
        folder = own_folder or _fetched(spec)
        pipeline = _load_pipeline(folder, device)
    except (OSError, ValueError, RuntimeError, TypeError, AttributeError, ImportError, KeyError) as error:
        if is_device_lost(error):
            raise
        _log.error("model_load_failed", model=spec.name, error=type(error).__name__, reason=str(error))
        raise ModelUnavailableError(f"model {spec.name!r} cannot be loaded") from error
    revision = None if own_folder else folder.name
    if spec.family == "whole_pipeline":
        return WholePipeline(pipeline, folder=folder, revision=revision)
    if spec.family == "stable_diffusion" and isinstance(pipeline, StableDiffusionPipeline):
        if device.is_cuda:
            _tune_for_cuda(pipeline, compile_denoiser=compile_denoiser)
        return StableDiffusion(pipeline, folder=folder, revision=revision)
    raise ModelUnavailableError(
        f"model {spec.name!r}: family {spec.family!r} does not draw with a {type(pipeline).__name__}"
    )


def model_folder(source: str) -> Path | None:
    """The folder that a source names: `embedded:demo` ships with this package; None for a hub id."""
    if source.startswith(EMBEDDED_PREFIX):
        name = source.removeprefix(EMBEDDED_PREFIX)
        if name not in EMBEDDED_FOLDERS:
            raise ModelUnavailableError(f"no embedded model {name!r}")
        return Path(str(files("gpu_subscriber").joinpath(EMBEDDED_FOLDERS[name])))
    folder = Path(source)
    return folder if folder.is_dir() else None


def _fetched(spec: ModelSpec) -> Path:
    """What `from_pretrained` fetches of a hub id first: a folder of the hub's cache, named after the commit."""
    return Path(DiffusionPipeline.download(spec.source, revision=spec.revision, use_safetensors=True))


def _load_pipeline(folder: Path, device: Device) -> Any:
    """`DiffusionPipeline.from_pretrained`; pickled weights are refused, a folder never reaches for the network."""
    for bars in (diffusers_logging, transformers_logging):
        bars.disable_progress_bar()  # nobody watches; the log says when a model is loaded
    pipeline = DiffusionPipeline.from_pretrained(
        folder,
        local_files_only=True,
        torch_dtype=device.dtype,
        use_safetensors=True,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device.torch_device)


def _tune_for_cuda(pipeline: Any, *, compile_denoiser: bool) -> None:
    pipeline.fuse_qkv_projections()
    if compile_denoiser:
        pipeline.unet.compile_repeated_blocks()

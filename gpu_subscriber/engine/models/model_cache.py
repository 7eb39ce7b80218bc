"""The loaded models: loads safetensors only, and unloads the least recently used model."""

import traceback
from collections import OrderedDict
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import structlog
from diffusers import AutoencoderKL, DiffusionPipeline, StableDiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from common.domain.models.catalog import ModelSpec
from common.domain.models.families import WHOLE_PIPELINE, family_problem
from gpu_subscriber.engine.devices import Device, is_device_lost
from gpu_subscriber.engine.errors import ModelRefusedError, ModelUnavailableError
from gpu_subscriber.engine.families.stable_diffusion import StableDiffusion
from gpu_subscriber.engine.families.stepping import SteppingFamily
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.models.catalog_check import check_entry
from gpu_subscriber.engine.models.model_backoff import ModelBackoff

_log = structlog.get_logger()

EMBEDDED_PREFIX = "embedded:"
EMBEDDED_FOLDERS = {"demo": "demo_model/weights"}

Family = SteppingFamily | WholePipeline
Load = Callable[[ModelSpec, Device], Family]


class ModelCache:
    """Up to `capacity` loaded models by name; tests pass families of their own through `load`.

    `load` covers everything up to the last measurement of the warm-up. An error in it affects only
    its model, unless the device is lost.
    """

    def __init__(
        self,
        specs: tuple[ModelSpec, ...],
        device: Device,
        *,
        capacity: int,
        load: Load,
        backoff: ModelBackoff | None = None,
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._device = device
        self._capacity = max(1, capacity)
        self._load = load
        self._loaded: OrderedDict[str, Family] = OrderedDict()
        self.backoff = backoff or ModelBackoff()

    @property
    def loaded(self) -> frozenset[str]:
        """The names of the loaded models."""
        return frozenset(self._loaded)

    def offers(self, name: str) -> bool:
        """Return whether the catalog has this model."""
        return name in self._specs

    def get(self, name: str) -> Family:
        """Return the model's family. Loads it if necessary, which may take minutes.

        Raises ModelUnavailableError. While the model is in its backoff, no load is attempted.
        """
        if name in self._loaded:
            self._loaded.move_to_end(name)
            return self._loaded[name]
        if self.backoff.seconds_left(name) > 0:
            raise ModelUnavailableError(name, reason="it failed to load, and is in its backoff")
        while len(self._loaded) >= self._capacity:
            evicted, _ = self._loaded.popitem(last=False)
            _log.info("model_unloaded", model=evicted)
        self._device.free_memory()
        family = self._loaded[name] = self._load_or_record_failure(self._specs[name])
        self.backoff.recovered(name)
        _log.info("model_loaded", model=name)
        return family

    def _load_or_record_failure(self, spec: ModelSpec) -> Family:
        try:
            return self._load(spec, self._device)
        except Exception as error:
            if is_device_lost(error):
                raise
            reason = reason_of(error)
            frames = traceback.format_tb(error.__traceback__)
        # Outside the `except` block: the traceback would keep the half-loaded model in the device's
        # memory.
        self._device.free_memory()
        broken = self.backoff.failed(spec.name, reason)
        _log.error(
            "model_broken",
            model=spec.name,
            reason=reason,
            failures=broken.failures,
            retry_at=broken.retry_at.isoformat(),
            frames=frames,
        )
        raise ModelUnavailableError(spec.name, reason=reason)


def reason_of(error: Exception) -> str:
    """Return why a model could not be loaded, for operators."""
    if isinstance(error, ModelUnavailableError):
        return error.reason
    return str(error) if isinstance(error, ModelRefusedError) else f"{type(error).__name__}: {error}"


def is_exclusive(spec: ModelSpec) -> bool:
    """Return whether the model generates one image at a time, with no other Run in progress."""
    return spec.family == WHOLE_PIPELINE


def load_family(spec: ModelSpec, device: Device, *, compile_denoiser: bool = False) -> Family:
    """Load a model from its source and wrap it in the family that its ModelSpec names.

    Raises ModelRefusedError when entry and model do not fit, and any error of diffusers, torch and
    the file system.
    """
    own_folder = model_folder(spec.source)
    # Downloads a hub id as `from_pretrained` does, into a cache folder named after the commit.
    folder = own_folder or Path(
        DiffusionPipeline.download(spec.source, revision=spec.revision, use_safetensors=True)
    )
    pipeline = _load_pipeline(folder, device)
    check_entry(spec, pipeline)
    revision = None if own_folder else folder.name
    if is_exclusive(spec):
        return WholePipeline(pipeline, folder=folder, revision=revision)
    if spec.family == "stable_diffusion" and isinstance(pipeline, StableDiffusionPipeline):
        if device.is_cuda:
            _tune_for_cuda(pipeline, compile_denoiser=compile_denoiser)
        return StableDiffusion(pipeline, folder=folder, revision=revision)
    raise ModelRefusedError(
        family_problem(spec.family, type(pipeline).__name__)
        or f'the engine has no class for the family {spec.family!r}; write "family": "{WHOLE_PIPELINE}"'
    )


def model_folder(source: str) -> Path | None:
    """Return the folder of a source; `embedded:demo` ships with this package. None for a hub id."""
    if source.startswith(EMBEDDED_PREFIX):
        name = source.removeprefix(EMBEDDED_PREFIX)
        if name not in EMBEDDED_FOLDERS:
            raise ModelRefusedError(f"there is no embedded model {name!r}")
        return Path(str(files("gpu_subscriber").joinpath(EMBEDDED_FOLDERS[name])))
    folder = Path(source)
    return folder if folder.is_dir() else None


def _load_pipeline(folder: Path, device: Device) -> Any:
    """Call `DiffusionPipeline.from_pretrained`. Pickled weights are refused; no network access."""
    for bars in (diffusers_logging, transformers_logging):
        bars.disable_progress_bar()  # the log reports when a model is loaded
    pipeline = DiffusionPipeline.from_pretrained(
        folder,
        local_files_only=True,
        torch_dtype=device.dtype,
        use_safetensors=True,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device.torch_device)


def _tune_for_cuda(pipeline: Any, *, compile_denoiser: bool) -> None:
    # Other autoencoders have nothing to fuse, and the call raises.
    pipeline.fuse_qkv_projections(vae=isinstance(pipeline.vae, AutoencoderKL))
    if compile_denoiser:
        pipeline.unet.compile_repeated_blocks()

"""Load a model: find its files, build its pipeline from safetensors, wrap it in its family."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from common.domain.models.catalog import ModelSpec
from common.domain.models.families import WHOLE_PIPELINE, family_problem
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.errors import ModelRefusedError
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.families.registry import GUIDED_FAMILIES
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.models.catalog_check import check_entry

EMBEDDED_PREFIX = "embedded:"
EMBEDDED_FOLDERS = {"demo": "demo_model/weights"}

Family = GuidedFamily | WholePipeline


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
    if problem := family_problem(spec.family, type(pipeline).__name__):
        raise ModelRefusedError(problem)
    check_entry(spec, pipeline)
    revision = None if own_folder else folder.name
    if is_exclusive(spec):
        return WholePipeline(pipeline, folder=folder, revision=revision)
    family = GUIDED_FAMILIES.get(spec.family)
    if family is None:
        raise ModelRefusedError(
            f'the engine has no class for the family {spec.family!r}; write "family": "{WHOLE_PIPELINE}"'
        )
    if device.is_cuda:
        _tune_for_cuda(pipeline, family.network, compile_denoiser=compile_denoiser)
    return family(pipeline, folder=folder, revision=revision)


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
        dtype=device.dtype,
        use_safetensors=True,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to(device.torch_device)


def _tune_for_cuda(pipeline: Any, network: str, *, compile_denoiser: bool) -> None:
    if network == "unet":
        # Other autoencoders have nothing to fuse, and the call raises.
        pipeline.fuse_qkv_projections(vae=isinstance(pipeline.vae, AutoencoderKL))
    if compile_denoiser:
        denoiser = getattr(pipeline, network)
        if denoiser._repeated_blocks:
            denoiser.compile_repeated_blocks()
        else:  # diffusers does not name the blocks of every transformer
            for block in denoiser.transformer_blocks:
                block.compile()

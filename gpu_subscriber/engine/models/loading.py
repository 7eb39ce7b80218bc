"""Load a model: find its files, build its pipeline from safetensors, wrap it in its family."""

from importlib.resources import files
from pathlib import Path
from typing import Any

import diffusers
import structlog
import torch
from diffusers import AutoencoderKL, DiffusionPipeline
from diffusers.utils import logging as diffusers_logging
from huggingface_hub import snapshot_download
from transformers.utils import logging as transformers_logging

from common.domain.models.families import (
    WHOLE_PIPELINE,
    control_network_class,
    family_problem,
    shares_steps,
)
from common.domain.models.model_files import EMBEDDED_PREFIX, ModelFiles
from common.domain.models.spec import ModelSpec
from common.model_files.local_model import LocalModel, local_model
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.errors import ModelRefusedError
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.families.registry import GUIDED_FAMILIES
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.loras.model_loras import ModelLoras
from gpu_subscriber.engine.models.catalog_check import check_control_network, check_entry
from gpu_subscriber.engine.models.pipeline_parts import PipelineParts

_log = structlog.get_logger()

_MOST_SHAPES = 1_024
"""Of a function, before torch stops compiling it without an error. Blocks of one class share theirs."""
EMBEDDED_FOLDERS = {"demo": "demo_model/weights"}
_CONFIG_FILES = ["*.json", "**/*.json", "**/*.txt", "**/*.model"]

Family = GuidedFamily | WholePipeline


def is_exclusive(spec: ModelSpec) -> bool:
    """Return whether the model generates one image at a time, with no other Run in progress."""
    return not shares_steps(spec.family)


def load_family(
    spec: ModelSpec, device: Device, *, compile_denoiser: bool = False, max_batch: int = 1
) -> Family:
    """Load a model from its source and wrap it in the family that its ModelSpec names.

    At most `max_batch` Runs share a pass, each with LoRAs of its own.

    Raises ModelRefusedError when entry and model do not fit, and any error of diffusers, torch and
    the file system.
    """
    for bars in (diffusers_logging, transformers_logging):
        bars.disable_progress_bar()  # the log reports when a model is loaded
    local, revision = _located(spec)
    parts = PipelineParts(local=local, files=spec, device=device)
    try:
        return _built(spec, parts, revision, compile_denoiser=compile_denoiser, max_batch=max_batch)
    except Exception:
        parts.digests.cancel()
        raise


def _built(
    spec: ModelSpec, parts: PipelineParts, revision: str | None, *, compile_denoiser: bool, max_batch: int
) -> Family:
    device, pipeline = parts.device, parts.pipeline()
    pipeline.set_progress_bar_config(disable=True)
    if problem := family_problem(spec.family, type(pipeline).__name__):
        raise ModelRefusedError(problem)
    check_entry(spec, pipeline)
    if is_exclusive(spec):
        return WholePipeline(pipeline, parts.loaded_files(revision))
    family = GUIDED_FAMILIES.get(spec.family)
    if family is None:
        raise ModelRefusedError(
            f'the engine has no class for the family {spec.family!r}; write "family": "{WHOLE_PIPELINE}"'
        )
    is_compiled = compile_denoiser and device.is_cuda
    if is_compiled and family.text_lengths_differ:
        reason = "each new length of a prompt would compile it, and stop all images of the worker"
        _log.warning("network_not_compiled", model=spec.name, reason=reason)
        is_compiled = False
    denoiser = getattr(pipeline, family.network)
    kind = getattr(diffusers, control_network_class(spec.family) or "", None)
    controlnets = {network.name: parts.control_network(network, kind) for network in spec.controlnets}
    for name, network in controlnets.items():
        check_control_network(name, network, denoiser)
    adapters = {adapter.name: parts.ip_adapter(adapter, denoiser) for adapter in spec.ip_adapters}
    if device.is_cuda:
        fuse = family.network == "unet" and not spec.loras  # LoRAs change the single projections
        _tune_for_cuda(pipeline, family.network, fuse=fuse, is_compiled=is_compiled)
    loras = ModelLoras(pipeline, family.network, spec.loras, most_sets=max_batch, memory=device.memory)
    loaded = parts.loaded_files(revision)
    made = family(pipeline, loaded, loras=loras, controlnets=controlnets, ip_adapters=adapters)
    made.fills_batches = is_compiled
    return made


def model_folder(source: str) -> Path:
    """Return the folder of a model that ships with this package, such as `embedded:demo`."""
    name = source.removeprefix(EMBEDDED_PREFIX)
    if name not in EMBEDDED_FOLDERS:
        raise ModelRefusedError(f"there is no embedded model {name!r}")
    return Path(str(files("gpu_subscriber").joinpath(EMBEDDED_FOLDERS[name])))


def _located(spec: ModelFiles) -> tuple[LocalModel, str | None]:
    """Return the model's files and the commit of a hub id, which is downloaded first.

    The cache's folder has the name of the commit.
    """
    if spec.is_embedded:
        return LocalModel(folder=model_folder(spec.source)), None
    if spec.is_single_file and spec.config is not None and not Path(spec.config).is_dir():
        config = snapshot_download(spec.config, allow_patterns=_CONFIG_FILES)
        spec = spec.model_copy(update={"config": config})
    local = local_model(spec)
    if local is not None:
        return local, None
    if spec.is_single_file:
        raise ModelRefusedError(f"`source`: there is no file {spec.source}")
    folder = DiffusionPipeline.download(
        spec.source, revision=spec.revision, variant=spec.variant, use_safetensors=True
    )
    return LocalModel(folder=Path(folder)), Path(folder).name


def _tune_for_cuda(pipeline: Any, network: str, *, fuse: bool, is_compiled: bool) -> None:
    if fuse:
        # Other autoencoders have nothing to fuse, and the call raises.
        pipeline.fuse_qkv_projections(vae=isinstance(pipeline.vae, AutoencoderKL))
    if is_compiled:
        compile_blocks(getattr(pipeline, network))


def compile_blocks(denoiser: Any, **options: Any) -> None:
    """Compile the repeated blocks at their first use: once for all of them, for each shape."""
    torch._dynamo.config.recompile_limit = _MOST_SHAPES
    torch._dynamo.config.accumulated_recompile_limit = _MOST_SHAPES
    fixed = {"dynamic": False, **options}
    if denoiser._repeated_blocks:
        denoiser.compile_repeated_blocks(**fixed)
    else:  # diffusers does not name the blocks of every transformer
        for block in denoiser.transformer_blocks:
            block.compile(**fixed)

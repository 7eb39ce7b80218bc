"""Compiled networks: what they need, and the compilation of all batch sizes before the engine is ready."""

import importlib.util
import os
import shutil
import time
from collections.abc import Callable

import structlog

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.batches.filled_batches import sizes_up_to
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.tuning.trial_images import prepared

_log = structlog.get_logger()

_C_COMPILERS = ("cc", "gcc", "clang")


def missing_for_compiling(
    *,
    find: Callable[[str], object] = shutil.which,
    find_package: Callable[[str], object] = importlib.util.find_spec,
) -> str | None:
    """Return what this machine lacks to compile a network for a GPU, or None."""
    named = os.environ.get("CC")
    if not any(find(compiler) for compiler in ([named] if named else _C_COMPILERS)):
        return "a C compiler"
    return None if find_package("triton") else "the package triton"


def compile_batch_sizes(family: GuidedFamily, parameters: GenerationParameters, *, largest: int) -> None:
    """Run a step of each batch size, with and without the pass for a negative prompt."""
    began = time.perf_counter()
    unguided = parameters.model_copy(update={"guidance_scale": parameters.guidance_off_at})
    sizes = sizes_up_to(largest)
    for asked in [parameters, unguided] if parameters.is_guided else [parameters]:
        state = prepared(family, asked)
        for size in sizes:
            family.predict([state] * size)
    seconds = round(time.perf_counter() - began, 1)
    _log.info("batch_sizes_compiled", model=parameters.model, sizes=sizes, seconds=seconds)

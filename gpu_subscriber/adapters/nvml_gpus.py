"""Gauges of the GPUs visible to this process, read through NVML; no torch needed."""

from collections.abc import Callable
from typing import Any

import pynvml
import structlog

from common.observability.metrics import GPU_MEMORY_LIMIT, GPU_MEMORY_USED, GPU_UTILIZATION, Reading, gauge

Handles = dict[tuple[str, ...], Any]
"""The driver's handles, by index as text."""
_log = structlog.get_logger(__name__)


def register_gpu_gauges() -> None:
    """Register the gauges of the GPUs; without a driver they have no values."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        _log.info("gpus_not_shown", reason=str(error))
        return
    handles: Handles = {
        (str(index),): pynvml.nvmlDeviceGetHandleByIndex(index)
        for index in range(pynvml.nvmlDeviceGetCount())
    }
    gauge(
        GPU_UTILIZATION,
        lambda: _read(handles, lambda gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100),
    )
    gauge(GPU_MEMORY_USED, lambda: _read(handles, lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).used))
    gauge(GPU_MEMORY_LIMIT, lambda: _read(handles, lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).total))


def _read(handles: Handles, value_of: Callable[[Any], float]) -> Reading:
    """Read a value per GPU index. A GPU that does not respond is omitted."""
    found = {}
    for index, handle in handles.items():
        try:
            found[index] = float(value_of(handle))
        except pynvml.NVMLError:
            continue
    return found

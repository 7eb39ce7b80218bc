"""The GPUs that this process may see, as gauges: by NVIDIA's management library, which needs no torch."""

from collections.abc import Callable
from typing import Any

import pynvml
import structlog

from common.observability.metrics import GPU_MEMORY_LIMIT, GPU_MEMORY_USED, GPU_UTILIZATION, Reading, gauge

Handles = dict[tuple[str, ...], Any]
"""The driver's own, by index as text."""
_log = structlog.get_logger(__name__)


def show_gpus() -> None:
    """Have the GPUs' gauges show what the driver says; without a driver there is nothing to show."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        _log.info("gpus_not_shown", reason=str(error))
        return
    handles: Handles = {
        (str(index),): pynvml.nvmlDeviceGetHandleByIndex(index)
        for index in range(pynvml.nvmlDeviceGetCount())
    }
    gauge(GPU_UTILIZATION, lambda: _read(handles, _utilization))
    gauge(GPU_MEMORY_USED, lambda: _read(handles, _memory_used))
    gauge(GPU_MEMORY_LIMIT, lambda: _read(handles, _memory_limit))


def _read(handles: Handles, ask: Callable[[Any], float]) -> Reading:
    """By index. A GPU that does not answer, as one that fell off the bus, is left out."""
    found = {}
    for index, handle in handles.items():
        try:
            found[index] = ask(handle)
        except pynvml.NVMLError:
            continue
    return found


def _utilization(handle: Any) -> float:
    return float(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100)


def _memory_used(handle: Any) -> float:
    return float(pynvml.nvmlDeviceGetMemoryInfo(handle).used)


def _memory_limit(handle: Any) -> float:
    return float(pynvml.nvmlDeviceGetMemoryInfo(handle).total)

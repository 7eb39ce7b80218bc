"""The node's NVIDIA driver, checked before the engine uses the GPU."""

import contextlib

import pynvml
import torch

LOWEST_DRIVERS = {"11": "450.80.02", "12": "525.60.13", "13": "580.65.06"}
"""The lowest driver for each major version of CUDA, from the release notes of NVIDIA's CUDA toolkit."""


class GpuUnusableError(Exception):
    """This node's GPU cannot be used with the installed driver and torch."""


def check_gpu() -> None:
    """Raise GpuUnusableError, with what to do, if torch cannot use a GPU of this node."""
    if not torch.cuda.is_available():
        raise GpuUnusableError(problem(cuda=torch.version.cuda, driver=_driver_version()))


def problem(*, cuda: str | None, driver: str | None) -> str:
    """Explain why torch with this version of CUDA cannot use a GPU with this driver."""
    if cuda is None:
        return "torch has no CUDA: install a build of torch with CUDA, or set DARKROOM_DEVICE=cpu"
    lowest = LOWEST_DRIVERS.get(cuda.partition(".")[0], "unknown")
    if driver is None:
        return (
            f"no NVIDIA driver responds (libcuda or the GPU is missing): torch's CUDA {cuda} requires driver "
            f"{lowest} or later; replace the node"
        )
    if lowest != "unknown" and _numbers(driver) < _numbers(lowest):
        return (
            f"the NVIDIA driver {driver} is too old: torch's CUDA {cuda} requires {lowest} or later; set "
            "`driver` of the GPU pool to LATEST, or use a newer GKE version"
        )
    return f"torch's CUDA {cuda} cannot use the GPU with the NVIDIA driver {driver}: replace the node"


def _driver_version() -> str | None:
    with contextlib.suppress(pynvml.NVMLError):
        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    return None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())

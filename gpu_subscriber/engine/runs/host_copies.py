"""Samplers that never wait for the device: their copies from the host are asynchronous.

diffusers' samplers compute on the host and copy to the device: noise of a seeded CPU generator, and
UniPC's noise levels, one by one. Such a copy waits for everything that is queued on a GPU, and UniPC
solves its equations there, which waits again.
"""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from diffusers import UniPCMultistepScheduler
from torch.overrides import TorchFunctionMode


def without_waiting(scheduler: Any, device: torch.device) -> AbstractContextManager[Any]:
    """Return the context for a step of this scheduler on latents of this device."""
    if device.type == "cpu":
        return nullcontext()
    return HostCopies(device, keeps_scalars=isinstance(scheduler, UniPCMultistepScheduler))


class HostCopies(TorchFunctionMode):
    """Makes copies from the host to `device` asynchronous.

    With `keeps_scalars`, single numbers stay on the host, where operations on them are faster.
    Kernels receive them as arguments.
    """

    def __init__(self, device: torch.device, *, keeps_scalars: bool) -> None:
        super().__init__()
        self._device = device
        self._keeps_scalars = keeps_scalars

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        named = kwargs or {}
        if func is torch.Tensor.to and args[0].device.type == "cpu" and self._is_target(args, named):
            if self._keeps_scalars and args[0].ndim == 0:
                return _converted(func, args, named)
            return func(_pinned(args[0]), *args[1:], **{**named, "non_blocking": True})
        if self._keeps_scalars and func is torch.ones and args == ((),) and "device" in named:
            return func((), **{**named, "device": "cpu"})
        return func(*args, **named)

    def _is_target(self, args: tuple[Any, ...], named: dict[str, Any]) -> bool:
        asked = [value for value in (*args[1:], named.get("device")) if isinstance(value, torch.device | str)]
        return any(torch.device(value).type == self._device.type for value in asked)


def _converted(func: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Any:
    """Return the scalar in the requested number format, on the host."""
    formats = [value for value in (*args[1:], named.get("dtype")) if isinstance(value, torch.dtype)]
    return func(args[0], *formats) if formats else args[0]


def _pinned(tensor: torch.Tensor) -> torch.Tensor:
    """Return the tensor in memory from which a GPU reads by itself."""
    return tensor.pin_memory() if torch.cuda.is_available() else tensor

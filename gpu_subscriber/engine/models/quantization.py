"""Denoisers whose linear layers compute in eight bits, through torchao, which is optional."""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch

from common.domain.models.model_files import Quantization
from gpu_subscriber.engine.errors import ModelRefusedError

FP8_CAPABILITY = (8, 9)
"""The first compute capability of GPUs with FP8 (Ada, Hopper)."""
_MULTIPLE = 16
"""Kernels for eight bits need sides that are multiples of this."""


def quantize(denoiser: torch.nn.Module, kind: Quantization) -> None:
    """Replace the weights of linear layers. Raises ModelRefusedError where that is not possible."""
    if reason := unavailable(kind):
        raise ModelRefusedError(f'`quantization`: "{kind}" needs {reason}; or leave `quantization` out')
    from torchao.quantization import quantize_  # noqa: PLC0415 (optional)

    if kind == "fp8" and next(denoiser.parameters()).dtype != torch.bfloat16:
        raise ModelRefusedError('`quantization`: "fp8" needs `dtype` "bfloat16"; or leave `quantization` out')
    # Tensors of inference mode could not be moved to the host later.
    with torch.inference_mode(mode=False), torch.no_grad():
        quantize_(denoiser, config_of(kind), filter_fn=is_quantizable)


def config_of(kind: Quantization) -> Any:
    """Return torchao's configuration. Each row of the activations has a scale of its own.

    With one for the whole tensor, torchao's default for FP8, the images of a batch would change each other,
    and one with infinite numbers would ruin all.
    """
    from torchao import quantization  # noqa: PLC0415 (optional)

    if kind == "fp8":
        return quantization.Float8DynamicActivationFloat8WeightConfig(granularity=quantization.PerRow())
    return quantization.Int8DynamicActivationInt8WeightConfig()


def unavailable(
    kind: Quantization,
    *,
    find_package: Callable[[str], object] = find_spec,
    capability: Callable[[], tuple[int, int] | None] | None = None,
) -> str | None:
    """Return what this machine lacks for this kind of numbers, or None."""
    if not find_package("torchao"):
        return 'the package torchao, which the extra "quantization" installs'
    found = (capability or _gpu_capability)()
    if kind == "fp8" and (found is None or found < FP8_CAPABILITY):
        return 'a GPU of compute capability 8.9 or higher; write "int8"'
    return None


def is_quantizable(module: Any, _name: str = "") -> bool:
    """Return whether a layer has kernels for eight bits."""
    if not isinstance(module, torch.nn.Linear):
        return False
    return module.in_features % _MULTIPLE == 0 and module.out_features % _MULTIPLE == 0


def _gpu_capability() -> tuple[int, int] | None:
    return torch.cuda.get_device_capability() if torch.cuda.is_available() else None

"""Networks that are on the device only while they compute: text encoders of models larger than the card."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch

from gpu_subscriber.engine.devices import Device

_kept_on_host: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()


def keep_on_host(network: torch.nn.Module, device: Device) -> None:
    """Keep the weights of a network on the host; a copy is on the device during each forward."""
    tensors: list[Any] = [*network.parameters(), *network.buffers()]
    on_host = [device.pinned(tensor.data) for tensor in tensors]

    def to_device(*_: Any) -> None:
        # Tensors of inference mode cannot become the data of parameters.
        with torch.inference_mode(mode=False):
            _replace(tensors, [device.copied(weights) for weights in on_host])

    def to_host(*_: Any) -> None:
        _replace(tensors, on_host)

    to_host()
    network.register_forward_pre_hook(to_device)
    network.register_forward_hook(to_host, always_call=True)
    _kept_on_host.add(network)


def is_kept_on_host(network: torch.nn.Module) -> bool:
    """Return whether the weights of this network are on the host while it does not compute."""
    return network in _kept_on_host


def _replace(tensors: Iterable[Any], data: Iterable[torch.Tensor]) -> None:
    for tensor, values in zip(tensors, data, strict=True):
        tensor.data = values

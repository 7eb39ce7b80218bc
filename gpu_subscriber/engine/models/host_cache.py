"""Evicted models in the host's memory: they return to the device without reading files or measuring again.

Only for devices with their own memory. On a CPU, an evicted model is freed: its weights are still in
the page cache, from which they load without copies.
"""

import gc
from collections import OrderedDict
from dataclasses import dataclass, field

import structlog
import torch

from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.models.loading import Family
from gpu_subscriber.engine.models.model_memory import bytes_on
from gpu_subscriber.engine.models.offloading import is_kept_on_host

_log = structlog.get_logger()
_HOST = torch.device("cpu")


@dataclass(slots=True, kw_only=True)
class HostCache:
    """Up to `limit_bytes` of evicted models; beyond that, the least recently evicted one is dropped."""

    device: Device
    limit_bytes: int
    _kept: OrderedDict[str, tuple[Family, int]] = field(default_factory=OrderedDict)

    def keep(self, name: str, family: Family) -> bool:
        """Move an evicted model to the host's memory; return whether it fits there."""
        networks = _movable(family)
        size = bytes_on(self.device.torch_device, networks)
        if not self.device.has_own_memory or size > self.limit_bytes:
            return False
        while sum(kept for _, kept in self._kept.values()) + size > self.limit_bytes:
            dropped = next(iter(self._kept))
            del self._kept[dropped]
            gc.collect()  # a family is part of reference cycles
            _log.info("model_dropped_from_host", model=dropped)
        family.release()
        self.device.move(networks, to=_HOST)
        self._kept[name] = (family, size)
        return True

    def take(self, name: str) -> Family | None:
        """Return a model, which `restore` moves to the device; None if it is not kept."""
        family, _ = self._kept.pop(name, (None, 0))
        return family

    def restore(self, family: Family) -> None:
        """Move a model to the device."""
        self.device.move(_movable(family), to=self.device.torch_device)


def _movable(family: Family) -> list[torch.nn.Module]:
    return [network for network in family.origin.networks.values() if not is_kept_on_host(network)]

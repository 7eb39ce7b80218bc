"""Room for work that does not fit beside the slots of LoRAs.

The slots of each loaded model keep the memory of the largest LoRAs that were used, of any caller.
They give way to all work of any model that does not fit beside them, and are made again, as large
as needed, when a Run uses them. Those of the model that works give way first.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

from gpu_subscriber.engine.devices import Device, is_out_of_memory
from gpu_subscriber.engine.errors import OutOfMemoryError
from gpu_subscriber.engine.loras.model_loras import ModelLoras
from gpu_subscriber.engine.models.loading import Family

T = TypeVar("T")


class MemoryRoom:
    """Makes room on a device. `loras` returns those of all loaded models, in the order of their release."""

    def __init__(self, device: Device, loras: Callable[[Family], Sequence[ModelLoras]]) -> None:
        self._device = device
        self._loras = loras

    def make(self, family: Family, *, missing: float) -> bool:
        """Return whether no bytes are missing, after slots were released if that frees enough."""
        holders = self._loras(family)
        if missing > sum(loras.device_bytes for loras in holders):
            return False
        for loras in holders:
            if missing > 0:
                missing -= loras.device_bytes
                self._release(loras)
        return True

    def work(self, family: Family, work: Callable[[], T]) -> T:
        """Return the result of `work`. Each time it runs out of memory, try again with fewer slots."""
        holders = iter(self._loras(family))
        while True:
            try:
                return work()
            except Exception as error:
                is_short = is_out_of_memory(error) or isinstance(error, OutOfMemoryError)
                holder = next((loras for loras in holders if loras.device_bytes), None)
                if not is_short or holder is None:
                    raise
            # Outside the `except` block, which pins tensors.
            self._release(holder)

    def _release(self, loras: ModelLoras) -> None:
        loras.release()
        self._device.free_memory()

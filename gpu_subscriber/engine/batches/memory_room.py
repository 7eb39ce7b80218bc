"""Room for work that does not fit beside the slots of LoRAs.

The slots keep the memory of the largest LoRAs that were used, of any caller. They give way to steps,
prompts, pictures and decodings that do not fit beside them, and are made again, as large as needed,
when a Run uses them.
"""

from collections.abc import Callable
from typing import TypeVar

from gpu_subscriber.engine.devices import Device, is_out_of_memory
from gpu_subscriber.engine.errors import OutOfMemoryError
from gpu_subscriber.engine.families.guided import GuidedFamily

T = TypeVar("T")


def make_room(family: GuidedFamily, device: Device, *, missing: float) -> bool:
    """Return whether no bytes are missing, after the slots were released if that frees enough."""
    if 0 < missing <= family.loras.device_bytes:
        _release_slots(family, device)
        return True
    return missing <= 0


def with_room(family: GuidedFamily, device: Device, work: Callable[[], T]) -> T:
    """Return the result of `work`. If it runs out of memory, try again without the slots."""
    try:
        return work()
    except Exception as error:
        is_short = is_out_of_memory(error) or isinstance(error, OutOfMemoryError)
        if not is_short or not family.loras.device_bytes:
            raise
    # Outside the `except` block, which pins tensors.
    _release_slots(family, device)
    return work()


def _release_slots(family: GuidedFamily, device: Device) -> None:
    family.loras.release()
    device.free_memory()

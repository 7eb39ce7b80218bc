"""The kernel of attention on a GPU: the fastest one for the model and its default size."""

from collections.abc import Mapping, Sequence

import structlog

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.devices import Device, is_out_of_memory
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.tuning.timing import timed_rounds
from gpu_subscriber.engine.tuning.trial_images import prepared

_log = structlog.get_logger()

KERNELS = ("CUDNN_ATTENTION", "FLASH_ATTENTION", "EFFICIENT_ATTENTION")
"""torch's names. Without the plain one, whose memory grows with the square of the pixels."""
WORTH_IT = 0.97
"""A kernel replaces torch's own choice only if a step takes less than this share of its time."""
_UNAVAILABLE = ("No available kernel", "No viable backend")
"""How torch reports that a kernel cannot compute this attention."""


def choose_attention(
    family: GuidedFamily,
    parameters: GenerationParameters,
    device: Device,
    *,
    kernels: Sequence[str] = KERNELS,
) -> None:
    """Time a step with torch's own choice and with each kernel, and set the fastest one.

    Kernels that cannot compute the model's attention are skipped.
    """
    state = prepared(family, parameters)
    seconds: dict[str | None, float] = {}
    for kernel in (None, *kernels):
        family.use_attention(kernel, only=True)
        try:
            seconds[kernel] = min(timed_rounds(device, lambda: family.predict([state])))
        except RuntimeError as error:
            if not is_out_of_memory(error) and not any(sign in str(error) for sign in _UNAVAILABLE):
                raise
        if kernel not in seconds:
            device.free_memory()
    chosen = fastest(seconds)
    family.use_attention(chosen)
    milliseconds = {kernel or "own": round(1_000 * value, 2) for kernel, value in seconds.items()}
    _log.info("attention_chosen", model=parameters.model, kernel=chosen, milliseconds=milliseconds)


def fastest(seconds: Mapping[str | None, float]) -> str | None:
    """Return the kernel that is clearly faster than torch's own choice, which None represents."""
    best = min(seconds, key=lambda kernel: seconds[kernel], default=None)
    own = seconds.get(None)
    return best if own is None or best is None or seconds[best] < WORTH_IT * own else None

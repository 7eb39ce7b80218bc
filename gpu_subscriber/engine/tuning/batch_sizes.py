"""How many Runs share a step or a decoding: the sizes that pay, and the memory that they take."""

from collections.abc import Callable

import structlog

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import best_batch
from gpu_subscriber.engine.batches.memory_needs import MemoryNeeds
from gpu_subscriber.engine.device_memory import DeviceMemory
from gpu_subscriber.engine.devices import Device, is_out_of_memory
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.tuning.timing import timed_rounds
from gpu_subscriber.engine.tuning.trial_images import prepared

_log = structlog.get_logger()

MOST_DOUBTS = 8
"""How often a batch that does not pay is measured again. Other load prolongs it, but never shortens it."""
BUDGET_SECONDS = 5.0
"""Stop trying larger batches once the timed forwards took this long together.

Forwards that are not timed do not count: the first one of a size may compile for minutes.
"""
LARGEST_DECODING = 4
"""Most images that are decoded together: few Runs end at the same step."""


def measure_batches(
    family: GuidedFamily, parameters: GenerationParameters, device: Device, caps: BatchCaps
) -> None:
    """Measure how many Runs of these parameters share a step, and how many a decoding."""
    key = family.batch_key(parameters)
    states = [prepared(family, parameters, seed=seed) for seed in range(caps.cap_of(key))]
    steps = _measured(device, lambda batch: family.predict(states[:batch]), largest=len(states))
    if steps:
        caps.learn(key, best_batch(steps))
    at_once = min(len(states), LARGEST_DECODING) if family.decodes_in_batches else 1
    decodings = _measured(device, lambda batch: family.decode_together(states[:batch]), largest=at_once)
    if decodings:
        caps.learn_decoding(key, best_batch(decodings))
    _log.info(
        "batches_measured",
        model=parameters.model,
        cap=caps.cap_of(key),
        milliseconds=_in_milliseconds(steps),
        decoded_together=caps.decoding_batch_of(key),
        decoding_milliseconds=_in_milliseconds(decodings),
    )


def measure_memory(
    family: GuidedFamily, parameters: GenerationParameters, memory: DeviceMemory, caps: BatchCaps
) -> None:
    """Measure the peaks of a step of one Run and of two, and of a decoding."""
    key = family.batch_key(parameters)
    states = [prepared(family, parameters, seed=seed) for seed in range(2)]
    alone = pair = memory.peak_bytes(lambda: family.predict(states[:1]))
    if memory.free_bytes() > 2 * alone:
        pair = memory.peak_bytes(lambda: family.predict(states))
    decoding = memory.peak_bytes(lambda: family.decode(states[0]))
    caps.learn_memory(key, MemoryNeeds.measured(key, alone=alone, pair=pair, decoding=decoding))
    _log.info("memory_measured", model=parameters.model, alone=alone, pair=pair, decoding=decoding)


def _measured(device: Device, work: Callable[[int], object], *, largest: int) -> dict[int, float]:
    """Return the seconds of batches of 1, 2, 4 …, up to the first one that does not pay."""
    seconds: dict[int, float] = {}
    spent = 0.0

    def measure(batch: int) -> None:
        nonlocal spent
        timed = timed_rounds(device, lambda: work(batch))
        spent += sum(timed)
        seconds[batch] = min(*timed, seconds.get(batch, timed[0]))

    def pays(batch: int) -> bool:
        return seconds[batch] / batch <= seconds[batch // 2] / (batch // 2)

    batch, doubts = 1, 0
    try:
        while batch <= largest and spent < BUDGET_SECONDS:
            measure(batch)
            if batch == 1 or pays(batch):
                batch, doubts = 2 * batch, 0
            elif doubts < MOST_DOUBTS:
                doubts += 1
                measure(batch // 2)
            else:
                break
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    device.free_memory()
    return seconds


def _in_milliseconds(seconds: dict[int, float]) -> dict[int, float]:
    return {batch: round(value * 1_000, 2) for batch, value in seconds.items()}

"""How many Runs may share a step, by model and size.

Time and memory are measured at warm-up. A failed allocation, which the measurement did not predict,
reduces a cap.
"""

from dataclasses import dataclass

from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.batches.memory_needs import MemoryNeeds
from gpu_subscriber.engine.device_memory import DeviceMemory

STEPS_BEFORE_GROWTH = 500
"""Full steps before a lowered cap grows by one; doubled after each further failure."""
_LONGEST_WAIT = 64 * STEPS_BEFORE_GROWTH
_USABLE = 0.9
"""The share of the free memory that a batch may take: allocators lose some to fragments."""


@dataclass(slots=True, kw_only=True)
class _LoweredCap:
    cap: int
    wait: int = STEPS_BEFORE_GROWTH
    full_steps: int = 0
    has_grown: bool = False


class BatchCaps:
    """Caps by key.

    A measurement at one size applies to others, because rows × pixels saturate a device.
    """

    def __init__(self, *, max_batch: int, memory: DeviceMemory | None = None) -> None:
        self._max_batch = max(1, max_batch)
        self._memory = memory
        self._needs: dict[str, MemoryNeeds] = {}
        self._measured_keys: dict[str, BatchKey] = {}
        self._work_by_model: dict[str, float] = {}
        self._decoded_pixels_by_model: dict[str, int] = {}
        self._lowered: dict[BatchKey, _LoweredCap] = {}

    def learn(self, key: BatchKey, batch: int) -> None:
        """Record that a batch of `batch` Runs of this key is the largest that pays."""
        self._work_by_model[key.model] = batch * key.row_pixels
        self._measured_keys[key.model] = key

    def learn_decoding(self, key: BatchKey, batch: int) -> None:
        """Record that decoding `batch` images of this key at once is the largest batch that pays."""
        self._decoded_pixels_by_model[key.model] = batch * key.width * key.height

    def learn_memory(self, key: BatchKey, needs: MemoryNeeds) -> None:
        """Record how much memory the steps and decodings of this key's model take."""
        self._needs[key.model] = needs
        self._measured_keys[key.model] = key

    def is_measured(self, model: str) -> bool:
        """Return whether `learn` was called for the model."""
        return model in self._work_by_model

    def slots_of(self, model: str) -> int:
        """Return the cap of the measured key by the measured times alone."""
        key = self._measured_keys.get(model)
        return self._max_batch if key is None else self.measured_cap_of(key)

    def failed(self, key: BatchKey, *, batch: int) -> None:
        """Halve the cap after a batch ran out of memory, or restore the size before it grew."""
        lowered = self._lowered.get(key)
        if lowered is None:
            self._lowered[key] = _LoweredCap(cap=max(1, batch // 2))
            return
        grew_too_far = lowered.has_grown and batch == lowered.cap
        self._lowered[key] = _LoweredCap(
            cap=max(1, batch - 1 if grew_too_far else batch // 2), wait=min(2 * lowered.wait, _LONGEST_WAIT)
        )

    def fitted(self, key: BatchKey, *, batch: int) -> None:
        """Record that a batch of this size took a step.

        Memory may have been short because of a neighbour, now gone.
        """
        lowered = self._lowered.get(key)
        if lowered is None or batch != lowered.cap:
            return
        lowered.full_steps += 1
        if lowered.full_steps >= lowered.wait:
            lowered.cap, lowered.full_steps, lowered.has_grown = lowered.cap + 1, 0, True

    def cap_of(self, key: BatchKey) -> int:
        """Return how many Runs of this key may share a step; at least 1."""
        cap = self.measured_cap_of(key)
        if lowered := self._lowered.get(key):
            cap = min(cap, lowered.cap)
        needs = self._needs.get(key.model)
        if cap > 1 and needs and self._memory:
            cap = min(cap, needs.largest_batch(key, _USABLE * self._memory.free_bytes()))
        return max(1, cap)

    def working_bytes(self, model: str) -> float | None:
        """Return what a Run of the measured key takes besides the weights; None if it was not measured."""
        needs, key = self._needs.get(model), self._measured_keys.get(model)
        return None if needs is None or key is None else max(needs.of_step(key, 1), needs.of_decoding(key))

    def missing_for_step(self, key: BatchKey) -> float:
        """Return how much memory is missing for a step of a single Run; 0 if it fits."""
        needs = self._needs.get(key.model)
        return 0.0 if needs is None else self._missing(needs.of_step(key, 1))

    def missing_for_decoding(self, key: BatchKey, *, images: int = 1) -> float:
        """Return how much memory is missing to decode so many images in one piece; 0 if they fit."""
        needs = self._needs.get(key.model)
        return 0.0 if needs is None else self._missing(images * needs.of_decoding(key))

    def _missing(self, needed: float) -> float:
        return 0.0 if self._memory is None else max(0.0, needed - self._memory.free_bytes())

    def fits_beside_steps(self, key: BatchKey, *, images: int = 1) -> bool:
        """Return whether so many images can be decoded during a step of a full batch."""
        needs = self._needs.get(key.model)
        if needs is None or self._memory is None:
            return True
        step = needs.of_step(key, self.cap_of(key))
        return step + images * needs.of_decoding(key) <= _USABLE * self._memory.free_bytes()

    def decoding_batch_of(self, key: BatchKey) -> int:
        """Return how many images may be decoded together; 1 until that was measured."""
        pixels = self._decoded_pixels_by_model.get(key.model, 0)
        return max(1, pixels // (key.width * key.height))

    def measured_cap_of(self, key: BatchKey) -> int:
        """Return the cap by the measured times alone, regardless of memory."""
        work = self._work_by_model.get(key.model)
        paying = self._max_batch if work is None else int(work / key.row_pixels)
        return max(1, min(paying, self._max_batch))

"""How many Runs may share a step, by model and size.

Measured at warm-up and reduced by failed allocations.
"""

from dataclasses import dataclass

from gpu_subscriber.engine.batches.batch_planning import BatchKey

STEPS_BEFORE_GROWTH = 500
"""Full steps before a lowered cap grows by one; doubled after each further failure."""
_LONGEST_WAIT = 64 * STEPS_BEFORE_GROWTH


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

    def __init__(self, *, max_batch: int) -> None:
        self._max_batch = max(1, max_batch)
        self._work_by_model: dict[str, float] = {}
        self._lowered: dict[BatchKey, _LoweredCap] = {}

    def learn(self, key: BatchKey, batch: int) -> None:
        """Record that a batch of `batch` Runs of this key is the largest that pays."""
        self._work_by_model[key.model] = batch * _work(key)

    def is_measured(self, model: str) -> bool:
        """Return whether `learn` was called for the model."""
        return model in self._work_by_model

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
        lowered = self._lowered.get(key)
        fitting = self._max_batch if lowered is None else lowered.cap
        return min(self.measured_cap_of(key), fitting)

    def measured_cap_of(self, key: BatchKey) -> int:
        """Return the cap by measurement alone, regardless of failed allocations."""
        work = self._work_by_model.get(key.model)
        paying = self._max_batch if work is None else int(work / _work(key))
        return max(1, min(paying, self._max_batch))


def _work(key: BatchKey) -> float:
    return float(key.width * key.height * key.branches)

"""How many Runs may share a step, by model and size. Learned at warm-up and from allocations that failed."""

from gpu_subscriber.engine.batch_planning import BatchKey


class BatchCaps:
    """Caps by key. A measurement on one size speaks for the others: what saturates a device is rows × pixels."""

    def __init__(self, *, max_batch: int) -> None:
        self._max_batch = max(1, max_batch)
        self._work_by_model: dict[str, float] = {}
        self._too_large: dict[BatchKey, int] = {}

    def learn(self, key: BatchKey, batch: int) -> None:
        """`batch` Runs of this key were measured to be the most that pay."""
        self._work_by_model[key.model] = batch * _work(key)

    def failed(self, key: BatchKey, *, batch: int) -> None:
        """A batch of this many did not fit into memory: from now on at most half of it."""
        self._too_large[key] = max(1, batch // 2)

    def cap_of(self, key: BatchKey) -> int:
        """The most Runs of this key that may share a step; at least 1."""
        work = self._work_by_model.get(key.model)
        paying = self._max_batch if work is None else int(work / _work(key))
        return max(1, min(paying, self._max_batch, self._too_large.get(key, self._max_batch)))


def _work(key: BatchKey) -> float:
    return float(key.width * key.height * key.branches)

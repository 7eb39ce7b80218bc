"""The device seconds of one attempt per image, as the engine reports them. Torch-free."""

from collections.abc import Iterable

from common.domain.task import RunSeconds
from gpu_subscriber.engine.messages import Start


class RunLedger:
    """One thread writes, another reads. The records survive the death of an engine."""

    def __init__(self, starts: Iterable[Start]) -> None:
        starts = tuple(starts)
        self._now = {start.index: 0.0 for start in starts}
        """Of the current engine process; each report replaces the previous one."""
        self._before = {start.index: 0.0 for start in starts}
        """Of engine processes that died."""
        self._lost = {start.index: 0.0 for start in starts}
        self._resumed = {start.index for start in starts if start.checkpoint is not None}

    def reported(self, index: int, gpu_seconds: float) -> None:
        """Record the device seconds of a run so far in the current engine process."""
        self._now[index] = max(gpu_seconds, self._now[index])

    def checkpoint_refused(self, index: int) -> None:
        """Record that the image starts over: the device seconds of earlier attempts are wasted."""
        self._resumed.discard(index)

    def engine_lost(self, index: int, *, resumes: bool) -> None:
        """Record that the engine died with this Run, which resumes from a checkpoint or starts over."""
        spent = self._now[index]
        self._now[index] = 0.0
        self._before[index] += spent
        if not resumes:
            self._lost[index] += spent

    @property
    def runs(self) -> tuple[RunSeconds, ...]:
        """Return the device seconds by image."""
        return tuple(
            RunSeconds(
                index=index,
                gpu_seconds=self._before[index] + seconds,
                resumed=index in self._resumed,
                lost_seconds=self._lost[index],
            )
            for index, seconds in self._now.items()
        )

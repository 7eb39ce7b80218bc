"""RunLedger: the device seconds of one attempt, image by image, as the engine reports them. Free of torch."""

from collections.abc import Iterable

from common.domain.task import RunSeconds
from gpu_subscriber.engine.messages import Start


class RunLedger:
    """One thread reports, another reads. An engine that dies takes nothing out of it."""

    def __init__(self, starts: Iterable[Start]) -> None:
        starts = tuple(starts)
        self._now = {start.index: 0.0 for start in starts}
        """Of the present engine process; each report replaces the one before."""
        self._before = {start.index: 0.0 for start in starts}
        """Of engine processes that died."""
        self._lost = {start.index: 0.0 for start in starts}
        self._resumed = {start.index for start in starts if start.checkpoint is not None}

    def reported(self, index: int, gpu_seconds: float) -> None:
        """Record what a Run has cost so far in the present engine process."""
        self._now[index] = max(gpu_seconds, self._now[index])

    def checkpoint_refused(self, index: int) -> None:
        """Record that the image starts over: what earlier attempts spent on it is of no use."""
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
        """All of it, by image."""
        return tuple(
            RunSeconds(
                index=index,
                gpu_seconds=self._before[index] + seconds,
                resumed=index in self._resumed,
                lost_seconds=self._lost[index],
            )
            for index, seconds in self._now.items()
        )

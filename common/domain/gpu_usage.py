"""Usage: the device seconds of one task, divided by what they produced. Pure.

    total = gpu_seconds + wasted_gpu_seconds + open seconds

Seconds are open while their image is unfinished: the next attempt either resumes from a checkpoint, which makes them
useful, or starts over, which makes them wasted. A terminal task has no open seconds.
"""

from collections.abc import Container
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSeconds:
    """Device seconds of one image: of one attempt in a claim, of all unfinished attempts in `Usage.open_runs`."""

    index: int
    gpu_seconds: float
    resumed: bool = False
    """The attempt resumed from a checkpoint of an earlier one."""
    lost_seconds: float = 0.0
    """The part of `gpu_seconds` that an engine crash lost: the image was started over within the attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The device seconds that a task has used so far, on a GPU (or the CPU that replaces it).

    `gpu_seconds` produced the images that are kept; `wasted_gpu_seconds` produced none.
    `inference_seconds` is the wall time from the start of generation to the end of the attempt that
    completed the task.
    """

    inference_seconds: float | None = None
    gpu_seconds: float | None = None
    wasted_gpu_seconds: float = 0.0
    open_runs: tuple[RunSeconds, ...] = ()
    """Of unfinished images, by index. The attempt in progress is in its claim."""

    @property
    def total_seconds(self) -> float:
        """All seconds of the finished attempts."""
        return (self.gpu_seconds or 0.0) + self.wasted_gpu_seconds + _total(self.open_runs)

    def with_attempt(
        self, runs: tuple[RunSeconds, ...], *, kept: Container[int], lost: Container[int]
    ) -> "Usage":
        """Return the usage after an attempt.

        `kept` and `lost` are the indices of images that are finished or failed for good.
        """
        still_open = {run.index: run.gpu_seconds for run in self.open_runs}
        useful, wasted, made_some = 0.0, self.wasted_gpu_seconds, False
        for run in runs:
            earlier = still_open.pop(run.index, 0.0)
            wasted += run.lost_seconds
            if not run.resumed:
                wasted += earlier
                earlier = 0.0
            seconds = earlier + run.gpu_seconds - run.lost_seconds
            if run.index in kept:
                useful += seconds
                made_some = True
            elif run.index in lost:
                wasted += seconds
            else:
                still_open[run.index] = seconds
        return replace(
            self,
            gpu_seconds=(self.gpu_seconds or 0.0) + useful if made_some else self.gpu_seconds,
            wasted_gpu_seconds=wasted,
            open_runs=tuple(
                RunSeconds(index=index, gpu_seconds=seconds)
                for index, seconds in sorted(still_open.items())
                if seconds > 0
            ),
        )

    def closed(self) -> "Usage":
        """Return the usage of a terminal task: no attempt will use the open seconds."""
        wasted = self.wasted_gpu_seconds + _total(self.open_runs)
        return replace(self, wasted_gpu_seconds=wasted, open_runs=())


def _total(runs: tuple[RunSeconds, ...]) -> float:
    return sum((run.gpu_seconds for run in runs), 0.0)

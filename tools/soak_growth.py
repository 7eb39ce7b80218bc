"""GrowthSampler: how the memory of each process and the disk space grow with the number of tasks."""

import os
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import NamedTuple, Self

import psutil

from benchmarks.measurement import repeating

_INTERVAL_SECONDS = 5.0
_FEWEST_SAMPLES = 12
"""A minute. The growth of processes that live for less is not stated: they are warming up."""
_WARM_UP = 1 / 3
"""Share of the samples that are not used, because a process is still loading and compiling."""
_MEBIBYTE = 1 << 20

_Sample = tuple[int, float]
"""Number of accepted tasks, MiB."""


class Growth(NamedTuple):
    """The slope of the regression line, and the number of tasks between its first and last sample."""

    mebibytes_per_1000_tasks: float
    tasks: int

    @classmethod
    def of(cls, samples: list[_Sample]) -> Self:
        """Return the growth of at least two samples, 0 if no task was accepted between them."""
        tasks, mebibytes = zip(*samples, strict=True)
        if tasks[0] == tasks[-1]:
            return cls(0.0, 0)
        return cls(1_000 * statistics.linear_regression(tasks, mebibytes).slope, tasks[-1] - tasks[0])

    @classmethod
    def mean(cls, parts: Iterable[Self]) -> Self:
        """Return the mean slope, weighted by the number of tasks."""
        weighted = [part for part in parts if part.tasks]
        tasks = sum(part.tasks for part in weighted)
        total = sum(part.mebibytes_per_1000_tasks * part.tasks for part in weighted)
        return cls(total / max(1, tasks), tasks)


class GrowthSampler:
    """Samples memory and disk space beside the number of accepted tasks, until the block ends."""

    def __init__(
        self, *, processes: Callable[[], Mapping[str, int]], folder: Path, tasks: Callable[[], int]
    ) -> None:
        """`processes` returns the ids of the running processes by name."""
        self._processes = processes
        self._folder = folder
        self._tasks = tasks
        self._memory: dict[tuple[str, int], list[_Sample]] = defaultdict(list)
        self._disk: dict[str, list[_Sample]] = defaultdict(list)

    def sampling(self) -> AbstractContextManager[None]:
        return repeating(self.sample, _INTERVAL_SECONDS)

    def sample(self) -> None:
        """Add one sample of each process and folder."""
        tasks = self._tasks()
        for name, pid in self._processes().items():
            with suppress(psutil.NoSuchProcess):
                self._memory[name, pid].append((tasks, _memory_of_tree(pid) / _MEBIBYTE))
        for folder in self._folder.iterdir():
            if folder.is_dir():
                self._disk[folder.name].append((tasks, _size(folder) / _MEBIBYTE))

    def memory(self) -> dict[str, Growth]:
        """Return the growth of resident memory by name, children included, of the process that lived longest."""
        longest: dict[str, list[_Sample]] = {}
        for (name, _), samples in self._memory.items():
            longest[name] = max(longest.get(name, []), samples, key=len)
        return _growth_after_warm_up(longest)

    def disk(self) -> dict[str, Growth]:
        """Return the growth of each subfolder."""
        return _growth_after_warm_up(self._disk)


def _growth_after_warm_up(samples: Mapping[str, list[_Sample]]) -> dict[str, Growth]:
    return {
        name: Growth.of(each[round(len(each) * _WARM_UP) :])
        for name, each in sorted(samples.items())
        if len(each) >= _FEWEST_SAMPLES
    }


def _memory_of_tree(pid: int) -> int:
    """Return the resident memory of a process and its children: gunicorn's workers, and engines."""
    process = psutil.Process(pid)
    memory = process.memory_info().rss
    for child in process.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            memory += child.memory_info().rss
    return memory


def _size(folder: Path) -> int:
    size = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # a log or journal that was just replaced
                size += Path(parent, name).stat().st_size
    return size

"""MemorySampler: how the memory of each process grows with the number of tasks."""

import statistics
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import psutil

_INTERVAL_SECONDS = 5.0
_FEWEST_SAMPLES = 12
"""A minute. The growth of processes that live for less is not stated: they are warming up."""
_WARM_UP = 1 / 3
"""Share of a process's samples that are not used, because it is still loading and compiling."""
MEBIBYTE = 1 << 20


class MemorySampler:
    """Samples resident memory beside the number of accepted tasks, until the block ends."""

    def __init__(self, *, processes: Callable[[], Mapping[str, int]], tasks: Callable[[], int]) -> None:
        """`processes` returns the ids of the running processes by name."""
        self._processes = processes
        self._tasks = tasks
        self._samples: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)

    @contextmanager
    def sampling(self) -> Iterator[None]:
        is_over = threading.Event()

        def sample_until_over() -> None:
            while not is_over.wait(_INTERVAL_SECONDS):
                self._sample()

        thread = threading.Thread(target=sample_until_over, name="memory")
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def _sample(self) -> None:
        for name, pid in self._processes().items():
            with suppress(psutil.NoSuchProcess):
                memory = psutil.Process(pid).memory_info().rss / MEBIBYTE
                self._samples[name, pid].append((self._tasks() / 1_000, memory))

    def growth(self) -> dict[str, float]:
        """Return MiB per thousand tasks by process name, of the process that lived longest."""
        longest: dict[str, list[tuple[float, float]]] = {}
        for (name, _), samples in self._samples.items():
            longest[name] = max(longest.get(name, []), samples, key=len)
        return {
            name: growth_of(samples[round(len(samples) * _WARM_UP) :])
            for name, samples in sorted(longest.items())
            if len(samples) >= _FEWEST_SAMPLES
        }


def growth_of(samples: list[tuple[float, float]]) -> float:
    """Return the slope of the regression line, 0 if no task was accepted between the samples."""
    tasks, memory = zip(*samples, strict=True)
    if tasks[0] == tasks[-1]:
        return 0.0
    return statistics.linear_regression(tasks, memory).slope

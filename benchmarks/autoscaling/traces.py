"""The submissions: their times and GPU seconds. The same for every policy."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from random import Random

HOUR = 3_600.0


@dataclass(frozen=True, slots=True)
class Submission:
    """One task: its submission time since the start, and its GPU seconds."""

    at: float
    gpu_seconds: float
    predicted_gpu_seconds: float
    """The prediction from measured step times."""


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    gpu_seconds: float


DRAFT = Kind("512², 20 steps", 3.0)
PICTURE = Kind("1024², 30 steps", 12.0)
SERIES = Kind("1024², 50 steps, 4 images", 80.0)
_SPREAD = 0.2
"""Standard deviation of the logarithm of a task's GPU seconds, around its kind's value."""
_MIXES = (
    ((DRAFT, 0.9), (PICTURE, 0.1)),
    ((DRAFT, 0.3), (PICTURE, 0.6), (SERIES, 0.1)),
    ((PICTURE, 0.5), (SERIES, 0.5)),
)
"""Each burst uses one of these mixes: the number of messages is a poor measure of the work."""


def bursts(random: Random, *, hours: float, mean_gap_seconds: float = 1_800.0) -> tuple[Submission, ...]:
    """Generate bursts of 20 to 200 tasks within half a minute, at random intervals."""
    return tuple(sorted(_bursts(random, hours, mean_gap_seconds), key=lambda each: each.at))


def _bursts(random: Random, hours: float, mean_gap_seconds: float) -> Iterator[Submission]:
    start = 600.0
    while start < (hours - 1) * HOUR:
        mix = random.choice(_MIXES)
        size = round(math.exp(random.uniform(math.log(20), math.log(200))))
        for _ in range(size):
            yield _submission(random, start + random.uniform(0, 30), mix)
        start += 120 + random.expovariate(1 / mean_gap_seconds)


def regular_bursts(random: Random, *, gap_seconds: float, count: int) -> tuple[Submission, ...]:
    """Generate equal bursts: 60 tasks of the middle mix."""
    found = [
        _submission(random, 600 + number * gap_seconds + random.uniform(0, 30), _MIXES[1])
        for number in range(count)
        for _ in range(60)
    ]
    return tuple(sorted(found, key=lambda each: each.at))


def diurnal(random: Random, *, hours: float) -> tuple[Submission, ...]:
    """Generate a day: almost no tasks at night, about 900 an hour at the peak."""
    highest = 900 / HOUR
    submissions: list[Submission] = []
    at = 0.0
    while (at := at + random.expovariate(highest)) < (hours - 1) * HOUR:
        share = max(0.003, math.sin(math.pi * at / (hours * HOUR)) ** 4)
        if random.random() < share:
            submissions.append(_submission(random, at, _MIXES[1]))
    return tuple(submissions)


def _submission(random: Random, at: float, mix: tuple[tuple[Kind, float], ...]) -> Submission:
    kinds, weights = zip(*mix, strict=True)
    kind = random.choices(kinds, weights)[0]
    took = random.lognormvariate(math.log(kind.gpu_seconds), _SPREAD)
    return Submission(at, took, kind.gpu_seconds)

"""Calibration: from predicted seconds to p50 and p90, by what became of earlier predictions. Pure.

A prediction knows nothing of its own errors: of neighbours on the machine, of others' submissions a moment later, of
what a message takes to arrive. So each is multiplied by how much longer (or shorter) things took than predicted, in
the half and in nine tenths of those earlier cases whose predictions were about as long: a short one errs in other ways
than a long one. The latest cases weigh most: a system errs today as it did a moment ago, not as it did when it began.
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from common.domain.worker_report import ForetoldTask

_BAND = 30
"""Cases that are taken together at least: p90 then rests on the three worst of them."""
_MOST_BANDS = 4
_HALF_LIFE = 25
"""After so many more of the same worker's tasks a case weighs half of what it did."""
_BEFORE_EXPERIENCE = (0.8, 0.9, 1.0, 1.1, 1.3, 1.7)
"""What is assumed of predictions while there is nothing to learn from; together they weigh as much as one case."""
_CASES_LIKE_ONE = 2
"""Tasks that come together err together: when one is late its neighbours are, and each of them teaches less."""
_SHORTEST_SECONDS = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Eta:
    """When a task is expected to end, in seconds from now: in half of all cases by then, in nine of ten by then."""

    p50_seconds: float
    p90_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    predicted_seconds: float
    ratio: float
    """What it took, as a multiple of that."""
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Band:
    p50: float
    p90: float

    @classmethod
    def of(cls, cases: Sequence[_Case]) -> "_Band":
        ratios = [(case.ratio, case.weight) for case in cases]
        ratios += [(ratio, 1 / len(_BEFORE_EXPERIENCE)) for ratio in _BEFORE_EXPERIENCE]
        ratios.sort()
        return cls(p50=_quantile(ratios, 0.5), p90=_quantile(ratios, 0.9, cases_like_one=_CASES_LIKE_ONE))


@dataclass(frozen=True, slots=True)
class Calibration:
    """What became of earlier predictions, in bands of their length."""

    _bands: tuple[_Band, ...]
    _limits: tuple[float, ...]
    """The predicted seconds between one band and the next."""

    @classmethod
    def of(cls, workers: Iterable[Sequence[ForetoldTask]]) -> "Calibration":
        """From what each worker knows, its oldest case first."""
        cases = (_weighed(case, age) for worker in workers for age, case in enumerate(reversed(worker)))
        ordered = sorted(cases, key=lambda case: case.predicted_seconds)
        count = min(_MOST_BANDS, max(1, len(ordered) // _BAND))
        edges = [len(ordered) * number // count for number in range(count + 1)]
        bands = [ordered[begin:end] for begin, end in pairwise(edges)]
        limits = [
            (below[-1].predicted_seconds + above[0].predicted_seconds) / 2 for below, above in pairwise(bands)
        ]
        return cls(tuple(map(_Band.of, bands)), tuple(limits))

    def eta(self, predicted_seconds: float) -> Eta:
        """What may be told of a prediction."""
        band = self._bands[bisect_left(self._limits, predicted_seconds)]
        seconds = max(_SHORTEST_SECONDS, predicted_seconds)
        return Eta(p50_seconds=seconds * band.p50, p90_seconds=seconds * band.p90)


def _weighed(case: ForetoldTask, age: int) -> _Case:
    return _Case(
        predicted_seconds=case.predicted_seconds,
        ratio=case.took_seconds / max(_SHORTEST_SECONDS, case.predicted_seconds),
        weight=0.5 ** (age / _HALF_LIFE),
    )


def _quantile(ordered: Sequence[tuple[float, float]], share: float, *, cases_like_one: int = 1) -> float:
    """The value that the next one of the same kind stays below with this probability, at least.

    Split conformal prediction, with weights: as many cases count as would, equally weighed and each by itself, be as
    sure.
    """
    weights = [weight for _, weight in ordered]
    total = math.fsum(weights)
    as_many = total**2 / math.fsum(weight**2 for weight in weights) / cases_like_one
    rank = bisect_left(list(accumulate(weights)), total * share * (1 + 1 / as_many))
    return ordered[min(rank, len(ordered) - 1)][0]

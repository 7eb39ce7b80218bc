"""Calibration: derives p50 and p90 from a predicted duration and earlier prediction errors. Pure.

A prediction does not include its own errors: load from neighbours on the machine, submissions that
arrive later, message delivery time. Each prediction is therefore multiplied by the ratio of actual
to predicted duration, at the median and the 90th percentile of earlier tasks. Only tasks with a
similar predicted duration count, because short and long predictions have different errors. While
only tasks of less than a second are known, a longer prediction gets their error in seconds instead:
most of it is a fixed overhead. Recent tasks weigh most, because the errors change over time.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from common.domain.worker_report import PredictionSample

_BAND = 30
"""Cases per band before another is begun; p90 then rests on the three worst of them."""
_MOST_BANDS = 4
_WIDEST_BAND = 8
"""Longest prediction in a band as a multiple of the shortest; a wider band is split."""
_HALF_LIFE = 25
"""After this many newer tasks of the same worker, a case weighs half."""
_BEFORE_EXPERIENCE = (0.8, 0.9, 1.0, 1.1, 1.3, 1.7)
"""Ratios assumed while there are no earlier cases; together they weigh as much as one case."""
_CASES_LIKE_ONE = 2
"""This many cases count as one independent case, because tasks submitted together err together."""
_SHORTEST_SECONDS = 0.01
_MOSTLY_OVERHEAD_SECONDS = 1.0
"""Up to this prediction, most of the error of a task is a fixed overhead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Eta:
    """Median and 90th percentile of the time until a task finishes, in seconds from now."""

    p50_seconds: float
    p90_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    predicted_seconds: float
    ratio: float
    """Actual duration as a multiple of the predicted duration."""
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Band:
    p50: float
    p90: float
    longest_seconds: float
    """The longest prediction among its cases."""

    @classmethod
    def of(cls, cases: Sequence[_Case]) -> "_Band":
        ratios = [(case.ratio, case.weight) for case in cases]
        ratios += [(ratio, 1 / len(_BEFORE_EXPERIENCE)) for ratio in _BEFORE_EXPERIENCE]
        ratios.sort()
        return cls(
            p50=_quantile(ratios, 0.5),
            p90=_quantile(ratios, 0.9, cases_like_one=_CASES_LIKE_ONE),
            longest_seconds=cases[-1].predicted_seconds if cases else math.inf,
        )


@dataclass(frozen=True, slots=True)
class Calibration:
    """Errors of earlier predictions, in bands of predicted duration."""

    _bands: tuple[_Band, ...]
    _limits: tuple[float, ...]
    """The predicted seconds that separate two neighbouring bands."""

    @classmethod
    def of(cls, workers: Iterable[Sequence[PredictionSample]]) -> "Calibration":
        """Build a calibration from the finished tasks of each worker, oldest first."""
        cases = (_weighed(case, age) for worker in workers for age, case in enumerate(reversed(worker)))
        ordered = sorted(cases, key=lambda case: case.predicted_seconds)
        count = min(_MOST_BANDS, max(1, len(ordered) // _BAND))
        edges = [len(ordered) * number // count for number in range(count + 1)]
        bands = [part for begin, end in pairwise(edges) for part in _split(ordered[begin:end])]
        limits = [
            (below[-1].predicted_seconds + above[0].predicted_seconds) / 2 for below, above in pairwise(bands)
        ]
        return cls(tuple(map(_Band.of, bands)), tuple(limits))

    def eta(self, predicted_seconds: float) -> Eta:
        band = self._bands[bisect_left(self._limits, predicted_seconds)]
        seconds = max(_SHORTEST_SECONDS, predicted_seconds)
        scaled = seconds
        if band.longest_seconds <= _MOSTLY_OVERHEAD_SECONDS:
            scaled = min(seconds, max(_SHORTEST_SECONDS, band.longest_seconds))
        rest = seconds - scaled
        return Eta(p50_seconds=scaled * band.p50 + rest, p90_seconds=scaled * band.p90 + rest)


def _split(cases: Sequence[_Case]) -> Iterator[Sequence[_Case]]:
    """Yield the cases, in parts whose predictions are similar."""
    shortest = max(_SHORTEST_SECONDS, cases[0].predicted_seconds) if cases else 0.0
    if not cases or cases[-1].predicted_seconds <= _WIDEST_BAND * shortest:
        yield cases
        return
    middle = math.sqrt(shortest * cases[-1].predicted_seconds)
    index = bisect_right(cases, middle, key=lambda case: case.predicted_seconds)
    yield from _split(cases[:index])
    yield from _split(cases[index:])


def _weighed(case: PredictionSample, age: int) -> _Case:
    return _Case(
        predicted_seconds=case.predicted_seconds,
        ratio=case.took_seconds / max(_SHORTEST_SECONDS, case.predicted_seconds),
        weight=0.5 ** (age / _HALF_LIFE),
    )


def _quantile(ordered: Sequence[tuple[float, float]], share: float, *, cases_like_one: int = 1) -> float:
    """Return the value that the next case stays below with at least the probability `share`.

    Weighted split conformal prediction: the weighted cases count as the number of equally weighted,
    independent cases with the same certainty.
    """
    weights = [weight for _, weight in ordered]
    total = math.fsum(weights)
    as_many = total**2 / math.fsum(weight**2 for weight in weights) / cases_like_one
    rank = bisect_left(list(accumulate(weights)), total * share * (1 + 1 / as_many))
    return ordered[min(rank, len(ordered) - 1)][0]

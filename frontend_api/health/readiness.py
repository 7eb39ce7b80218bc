"""CheckReadiness: probes every dependency of a submission, at most once per second."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from common.domain.errors import DependencyUnavailableError
from common.ports import Clock
from frontend_api.cache import Cached

_TTL = timedelta(seconds=1)
"""Any caller may request readiness, and each probe calls another service."""


class Probe(Protocol):
    @property
    def name(self) -> str:
        """The dependency's name, as `/readyz` shows it."""

    def check(self) -> None:
        """Return within seconds if the dependency answered. Raises DependencyUnavailableError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachability:
    name: str
    is_reachable: bool
    latency_seconds: float


class CheckReadiness:
    """Probes all dependencies in parallel: the result takes as long as the slowest probe."""

    def __init__(self, *, probes: Sequence[Probe], clock: Clock) -> None:
        self._probes = tuple(probes)
        self._results = Cached(self._probed, ttl=_TTL, clock=clock)

    def __call__(self) -> tuple[Reachability, ...]:
        """Return the state of each dependency, at most one second old.

        A request that arrives during a probe gets the previous result.
        """
        return self._results()

    def _probed(self, _now: datetime) -> tuple[Reachability, ...]:
        with ThreadPoolExecutor(max_workers=max(1, len(self._probes))) as pool:
            return tuple(pool.map(_reachability, self._probes))


def _reachability(probe: Probe) -> Reachability:
    started = time.perf_counter()
    try:
        probe.check()
        is_reachable = True
    except DependencyUnavailableError:
        is_reachable = False
    return Reachability(
        name=probe.name, is_reachable=is_reachable, latency_seconds=time.perf_counter() - started
    )

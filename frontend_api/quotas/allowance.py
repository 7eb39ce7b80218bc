"""Allowance: capacity of several limits, reserved for tasks that are about to be stored."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import compress

from frontend_api.quotas.approximate_counter import ApproximateCounter
from frontend_api.quotas.limits import QuotaExceededError


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, and what each of the tasks takes from it."""

    counter: ApproximateCounter
    amounts: Sequence[float]
    refusal: Callable[[float, float], QuotaExceededError]
    """The error for the used and the needed amount."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """Capacity reserved from the limits; must be settled, whether or not the tasks are stored."""

    granted: int
    """How many of the tasks, from the first on."""
    refusal: QuotaExceededError | None = None
    """Why fewer tasks than wanted were granted."""
    limits: tuple[Limit, ...] = ()

    def settle(self, *, stored: Sequence[bool]) -> None:
        """Keep the capacity of the granted tasks that are stored, and release that of the others."""
        for limit in self.limits:
            granted = limit.amounts[: self.granted]
            kept = sum(compress(granted, stored))
            limit.counter.commit(kept)
            limit.counter.release(sum(granted) - kept)


def reserve(wanted: int, limits: Sequence[Limit], *, is_limited: bool = True) -> Allowance:
    """Reserve capacity for as many of the tasks as every limit allows. Raises DependencyUnavailableError."""
    allowance = Allowance(granted=wanted)
    try:
        for limit in limits:
            if limit.counter.limit:
                allowance = _with(allowance, limit, is_limited=is_limited)
    except BaseException:
        allowance.settle(stored=())
        raise
    return allowance


def _with(allowance: Allowance, limit: Limit, *, is_limited: bool) -> Allowance:
    wanted = limit.amounts[: allowance.granted]
    if not is_limited:
        limit.counter.take_regardless(wanted)
        return Allowance(granted=allowance.granted, limits=(*allowance.limits, limit))
    granted = limit.counter.take(wanted)
    for earlier in allowance.limits:
        earlier.counter.release(sum(earlier.amounts[granted : allowance.granted]))
    refusal = allowance.refusal
    if granted < allowance.granted:
        refusal = limit.refusal(limit.counter.used, wanted[granted])
    return Allowance(granted=granted, refusal=refusal, limits=(*allowance.limits, limit))


@contextmanager
def one(allowance: Allowance) -> Iterator[None]:
    """Wrap the storing of one task."""
    if allowance.refusal is not None:
        raise allowance.refusal
    stored = False
    try:
        yield
        stored = True
    finally:
        allowance.settle(stored=[stored])

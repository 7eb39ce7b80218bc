"""Batches of a compiled network, filled up to the next of a few sizes.

A compiled network serves exactly the shapes that it was compiled for. Another size would be compiled
in service, for seconds to a minute in which no image progresses.
"""

from bisect import bisect_left
from collections.abc import Sequence
from typing import TypeVar

BATCH_SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""At most a third of a batch of at most 64 is filling."""

_State = TypeVar("_State")


def filled(states: Sequence[_State]) -> list[_State]:
    """Return the batch with copies of its last element, up to the next size."""
    larger = BATCH_SIZES[bisect_left(BATCH_SIZES, len(states)) :]
    missing = larger[0] - len(states) if larger else 0
    return [*states, *[states[-1]] * missing]


def sizes_up_to(largest: int) -> tuple[int, ...]:
    """Return the sizes to which batches of at most `largest` are filled."""
    return BATCH_SIZES[: bisect_left(BATCH_SIZES, largest) + 1]

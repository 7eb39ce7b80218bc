"""The number of instances of a pool in which the platform chooses the instance to stop. Pure.

- More instances are set at once.
- Fewer are set only when the demand was that low for a whole window without a missing sample: a stopped
  instance may be a busy one, whose tasks then continue elsewhere.
- The last instance is removed only after a longer window without any task.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from frontend_api.autoscaling.ports import DemandSample

_LARGEST_GAP = timedelta(minutes=3)
"""Between two samples; a longer gap is a time with unknown demand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolLimits:
    """The bounds of a pool's size, and how fast it shrinks."""

    min_instances: int
    max_instances: int
    shrink_after: timedelta = timedelta(minutes=5)
    remove_last_after: timedelta = timedelta(minutes=30)


def pool_size(current: int, samples: Sequence[DemandSample], limits: PoolLimits, *, now: datetime) -> int:
    """Return the number of instances to set. The newest sample is the last, and that of `now`."""
    wanted = samples[-1].workers
    if wanted < current:
        highest = _highest(samples, now=now, window=limits.shrink_after)
        wanted = current if highest is None else min(current, highest)
        if wanted == 0 and _highest(samples, now=now, window=limits.remove_last_after) != 0:
            wanted = 1
    return max(limits.min_instances, min(wanted, limits.max_instances))


def _highest(samples: Sequence[DemandSample], *, now: datetime, window: timedelta) -> int | None:
    """Return the highest demand within the window; None if the demand of a part of it is unknown."""
    highest, known_since = 0, now
    for sample in reversed(samples):
        if known_since - sample.at > _LARGEST_GAP:
            return None
        highest, known_since = max(highest, sample.workers), sample.at
        if now - known_since >= window:
            return highest
    return None

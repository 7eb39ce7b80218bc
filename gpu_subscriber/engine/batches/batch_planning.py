"""Which Runs share the next step.

Pure: no torch, no clock. `step_engine.py` calls it before every step. The order: interactive before
batch lane, then loaded models before others, then the earliest submission. The first Run leads;
Runs with the same key join it in the same order, up to the cap. A chosen Run stays among the
oldest, so later arrivals in its lane do not leave it half done.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from common.domain.parameters import GenerationParameters
from common.domain.task import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchKey:
    """What Runs must have in common to share a forward pass; the dtype follows from the model.

    `branches`: 2 when classifier-free guidance doubles the batch, else 1.
    """

    model: str
    width: int
    height: int
    branches: int

    @classmethod
    def of(cls, parameters: GenerationParameters) -> "BatchKey":
        """Return the key of a Run with these parameters."""
        return cls(
            model=parameters.model,
            width=parameters.width,
            height=parameters.height,
            branches=parameters.passes_per_step,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A Run that needs its next step.

    `submitted_at` is POSIX seconds; `arrived_at` is the engine's own clock.
    """

    run_id: str
    key: BatchKey
    lane: Lane
    submitted_at: float
    arrived_at: float
    arrival: int
    """Increases with each Run, so that two Runs of one task keep their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulingDelays:
    """How long Runs wait, in seconds, before they take precedence."""

    model_switch_seconds: float
    batch_lane_seconds: float


def plan_batch(
    candidates: Iterable[Candidate],
    *,
    loaded: frozenset[str],
    cap_of: Callable[[BatchKey], int],
    now: float,
    last_load_at: float,
    delays: SchedulingDelays,
) -> tuple[Candidate, ...]:
    """Return the Runs that take the next step together, leader first; empty when there is no work.

    A model that is not loaded ranks like a loaded one once its Runs have waited
    `model_switch_seconds`, counted from their arrival or from the last load, whichever is later. So
    two busy models alternate instead of evicting each other at every step.
    """

    def lane_rank(candidate: Candidate) -> int:
        waited_enough = now - candidate.arrived_at >= delays.batch_lane_seconds
        return 0 if candidate.lane is Lane.INTERACTIVE or waited_enough else 1

    def load_rank(candidate: Candidate) -> int:
        waited = now - max(candidate.arrived_at, last_load_at)
        return 0 if candidate.key.model in loaded or waited >= delays.model_switch_seconds else 1

    def rank(candidate: Candidate) -> tuple[int, int, float, int]:
        return lane_rank(candidate), load_rank(candidate), candidate.submitted_at, candidate.arrival

    ordered = sorted(candidates, key=rank)
    if not ordered:
        return ()
    leader = ordered[0]
    sharing = [candidate for candidate in ordered if candidate.key == leader.key]
    return tuple(sharing[: max(1, cap_of(leader.key))])


def best_batch(seconds_by_batch: dict[int, float], *, worth_it: float = 0.02) -> int:
    """Return the best batch size. `seconds_by_batch` maps a batch size to the seconds of one step.

    The best is the smallest size whose seconds per Run are within `worth_it` of the minimum. In a
    larger batch Runs only wait for one another. So no mix is slower than one Run at a time.
    """
    per_run = {batch: seconds / batch for batch, seconds in seconds_by_batch.items()}
    enough = min(per_run.values()) * (1 + worth_it)
    return min(batch for batch, seconds in per_run.items() if seconds <= enough)

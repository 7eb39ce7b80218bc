"""Which Runs share the next step. Pure: no torch, no clock; `step_engine.py` asks here before every step.

The rule: the highest lane first, within it models that are loaded before models that are not, then the Run that was
submitted first; and with that leader whatever else shares its key, in the same order, up to the cap. A Run
that was chosen once stays among the oldest, so it is not left half done by later arrivals of its own lane.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from common.domain.parameters import GenerationParameters
from common.domain.task import Lane


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchKey:
    """What Runs must have in common to share a forward pass; dtype follows from the model.

    `branches`: 2 when classifier-free guidance doubles the batch, else 1.
    """

    model: str
    width: int
    height: int
    branches: int

    @classmethod
    def of(cls, parameters: GenerationParameters) -> "BatchKey":
        """The key of a Run with these parameters."""
        return cls(
            model=parameters.model,
            width=parameters.width,
            height=parameters.height,
            branches=parameters.passes_per_step,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A Run as the plan sees it. `submitted_at` is POSIX seconds; `arrived_at` is the engine's own clock."""

    run_id: str
    key: BatchKey
    lane: Lane
    submitted_at: float
    arrived_at: float
    arrival: int
    """Counts up with each Run, so that two of one task keep their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long politeness lasts, in seconds."""

    model_switch_seconds: float
    batch_lane_seconds: float


def plan_batch(
    candidates: Iterable[Candidate],
    *,
    loaded: frozenset[str],
    cap_of: Callable[[BatchKey], int],
    now: float,
    last_load_at: float,
    patience: Patience,
) -> tuple[Candidate, ...]:
    """The Runs that take the next step together, leader first; empty when there is nothing to do.

    A model that is not loaded becomes as good as a loaded one once its Runs have waited out `patience`, and that
    long after the last load as well: two busy models take turns instead of evicting each other at every step.
    """

    def lane_rank(candidate: Candidate) -> int:
        grown_up = now - candidate.arrived_at >= patience.batch_lane_seconds
        return 0 if candidate.lane is Lane.INTERACTIVE or grown_up else 1

    def load_rank(candidate: Candidate) -> int:
        waited = now - max(candidate.arrived_at, last_load_at)
        return 0 if candidate.key.model in loaded or waited >= patience.model_switch_seconds else 1

    def rank(candidate: Candidate) -> tuple[int, int, float, int]:
        return lane_rank(candidate), load_rank(candidate), candidate.submitted_at, candidate.arrival

    ordered = sorted(candidates, key=rank)
    if not ordered:
        return ()
    leader = ordered[0]
    sharing = [candidate for candidate in ordered if candidate.key == leader.key]
    return tuple(sharing[: max(1, cap_of(leader.key))])


def best_batch(seconds_by_batch: dict[int, float], *, worth_it: float = 0.02) -> int:
    """The batch size a measurement speaks for: `seconds_by_batch` maps a batch size to one step's seconds.

    The smallest size whose seconds per Run are within `worth_it` of the best: beyond it Runs would only wait for
    one another. So no mix is slower than one at a time.
    """
    per_run = {batch: seconds / batch for batch, seconds in seconds_by_batch.items()}
    enough = min(per_run.values()) * (1 + worth_it)
    return min(batch for batch, seconds in per_run.items() if seconds <= enough)

"""Which Runs share the next step.

No torch and no clock; the only state is the round robin. `step_engine.py` calls it before every
step. The interactive lane precedes the batch lane, and loaded models precede others. Among the keys
of the first rank, the round robin selects one. Its Runs share the step, the first rank and those of
the task that was queued first, up to the cap. A chosen Run stays among the first of its key, so tasks
that are queued or retried later do not leave it half done.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from common.domain.models.lora import LoraChoice
from common.domain.parameters import GenerationParameters
from common.domain.task import Lane
from gpu_subscriber.engine.batches.round_robin import RoundRobin


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchKey:
    """What Runs must have in common to share a forward pass; the dtype follows from the model.

    `width` and `height` are those in which the model generates. `branches`: 2 when classifier-free
    guidance doubles the batch, else 1.
    """

    model: str
    width: int
    height: int
    branches: int
    controlnet: str | None = None
    """The control network whose residuals the denoiser receives; their scales may differ."""
    images_per_pass: int = 1
    """2 when the denoiser reads a picture to edit after the latents, else 1."""

    @classmethod
    def of(cls, parameters: GenerationParameters, *, size: tuple[int, int] | None = None) -> "BatchKey":
        """Return the key of a Run with these parameters. `size`: (height, width), if not as requested."""
        height, width = size or (parameters.height, parameters.width)
        return cls(
            model=parameters.model,
            width=width,
            height=height,
            branches=parameters.passes_per_step,
            controlnet=parameters.controlnet,
            images_per_pass=parameters.images_per_pass,
        )

    @property
    def row_pixels(self) -> int:
        """The pixels of one Run's rows, to which the time and the memory of a step are proportional."""
        return self.width * self.height * self.images_per_pass * self.branches


LoraChoices = tuple[LoraChoice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A Run that needs its next step.

    `queued_at` is that of the task, in POSIX seconds; `arrived_at` is the engine's own clock.
    """

    run_id: str
    key: BatchKey
    lane: Lane
    queued_at: float
    arrived_at: float
    arrival: int
    """Increases with each Run, so that two Runs of one task keep their order."""
    loras: LoraChoices = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulingDelays:
    """How long Runs wait, in seconds, before they take precedence."""

    model_switch_seconds: float
    batch_lane_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LastLoad:
    """The latest load of a model: when it ended, by the engine's clock, and how long it took."""

    ended_at: float = float("-inf")
    seconds: float = 0.0


def plan_batch(
    candidates: Iterable[Candidate],
    *,
    round_robin: RoundRobin[BatchKey],
    loaded: frozenset[str],
    cap_of: Callable[[BatchKey], int],
    most_lora_sets_of: Callable[[str], int | None] = lambda model: None,
    now: float,
    last_load: LastLoad,
    delays: SchedulingDelays,
) -> tuple[Candidate, ...]:
    """Return the Runs that take the next step together; empty when there is no work.

    A model that is not loaded ranks like a loaded one once its Runs have waited
    `model_switch_seconds`, or as long as the last load took, whichever is longer. The wait counts
    from their arrival or from the last load, whichever is later. So two busy models alternate
    instead of evicting each other at every step, and spend at most half of the time on loads.

    A step of a model takes as many different sets of LoRAs as `most_lora_sets_of` returns; None: any
    number. Runs with further sets wait.
    """
    switch_seconds = max(delays.model_switch_seconds, last_load.seconds)

    def lane_rank(candidate: Candidate) -> int:
        waited_enough = now - candidate.arrived_at >= delays.batch_lane_seconds
        return 0 if candidate.lane is Lane.INTERACTIVE or waited_enough else 1

    def load_rank(candidate: Candidate) -> int:
        waited = now - max(candidate.arrived_at, last_load.ended_at)
        return 0 if candidate.key.model in loaded or waited >= switch_seconds else 1

    ranked = [((lane_rank(candidate), load_rank(candidate)), candidate) for candidate in candidates]
    if not ranked:
        round_robin.clear()
        return ()
    ranked.sort(key=lambda entry: (entry[0], entry[1].queued_at, entry[1].arrival))
    first_rank = ranked[0][0]
    eligible = dict.fromkeys(candidate.key for rank, candidate in ranked if rank == first_rank)
    key = round_robin.next_key(eligible, waiting={candidate.key for _, candidate in ranked})
    sharing = [candidate for _, candidate in ranked if candidate.key == key]
    return _with_few_lora_sets(sharing, max(1, cap_of(key)), most_lora_sets_of(key.model))


def _with_few_lora_sets(
    sharing: Iterable[Candidate], cap: int, most_sets: int | None
) -> tuple[Candidate, ...]:
    """Return the first Runs, up to the cap, whose sets of LoRAs one pass takes."""
    chosen: list[Candidate] = []
    sets: set[LoraChoices] = set()
    for candidate in sharing:
        together = sets | {candidate.loras} if candidate.loras else sets
        if most_sets is None or len(together) <= most_sets:
            chosen.append(candidate)
            sets = together
        if len(chosen) == cap:
            break
    return tuple(chosen)


def best_batch(seconds_by_batch: dict[int, float], *, worth_it: float = 0.02) -> int:
    """Return the best batch size. `seconds_by_batch` maps a batch size to the seconds of one step.

    The best is the smallest size whose seconds per Run are within `worth_it` of the minimum. In a
    larger batch Runs only wait for one another. So no mix is slower than one Run at a time.
    """
    per_run = {batch: seconds / batch for batch, seconds in seconds_by_batch.items()}
    enough = min(per_run.values()) * (1 + worth_it)
    return min(batch for batch, seconds in per_run.items() if seconds <= enough)

"""EngineSilence: how long a busy engine may say nothing before it counts as hung. No clock, no I/O.

A kernel that never returns raises nothing and kills nobody: all that can be seen from outside is that no step is
reported any more. Each step of each Run is a message, so silence is measured against the steps themselves.
"""

from collections import deque
from dataclasses import dataclass

from common.domain.task import Phase
from gpu_subscriber.engine.messages import EngineReady, FromEngine, PhaseChanged, StepDone

STEPS_OF_SILENCE = 10
"""Silence is allowed for this many of the longest recent steps, where that is more than the floor."""
_REMEMBERED_STEPS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedSilence:
    """In seconds. `drawing_seconds` is a floor: slow devices are given more, up to what loading is given."""

    drawing_seconds: float = 120.0
    loading_seconds: float = 900.0
    """For starting, and for each load and warm-up of a model."""

    @property
    def look_seconds(self) -> float:
        """How long to listen before asking `EngineSilence.lasted`."""
        return min(1.0, self.drawing_seconds / 4)


class EngineSilence:
    """Of one engine process, from its birth."""

    def __init__(self, allowed: AllowedSilence) -> None:
        self._allowed = allowed
        self._starting = True
        self._loading = True
        self._seconds = 0.0
        self._heard_at: float | None = None
        self._steps: deque[float] = deque(maxlen=_REMEMBERED_STEPS)

    @property
    def allowed_seconds(self) -> float:
        """How long it may be silent as things stand."""
        floor, loading = self._allowed.drawing_seconds, self._allowed.loading_seconds
        if self._loading:
            return loading
        return max(floor, min(loading, STEPS_OF_SILENCE * max(self._steps, default=0.0)))

    def heard(self, message: FromEngine, *, now: float) -> None:
        """It said something. `now` in seconds of any clock."""
        if isinstance(message, StepDone) and self._heard_at is not None and not self._loading:
            self._steps.append(now - self._heard_at)
        if isinstance(message, EngineReady):
            self._starting = False
        self._loading = isinstance(message, PhaseChanged) and message.phase is Phase.LOADING_MODEL
        self._heard_at = now
        self._seconds = 0.0

    def lasted(self, seconds: float, *, busy: bool) -> bool:
        """It said nothing for `seconds` more; whether that is too long. An idle engine may be silent for ever.

        Silence is added up from looks rather than read off a clock: while this process itself is stopped it cannot
        hear, and that is not the engine's silence.
        """
        self._seconds = self._seconds + seconds if busy or self._starting else 0.0
        return self._seconds >= self.allowed_seconds

"""Watchdog rule: how long a busy engine may be silent before it counts as hung. No clock, no I/O.

A kernel that never returns raises no error and ends no process; the only symptom is that no more
steps are reported. Each step of each run is a message, so silence is compared with the duration of
steps.
"""

from collections import deque
from dataclasses import dataclass

from common.domain.task import Phase
from gpu_subscriber.engine.messages import EngineReady, FromEngine, PhaseChanged, StepDone

STEPS_OF_SILENCE = 10
"""Allowed silence as a multiple of the longest recent step, if that exceeds the floor."""
_REMEMBERED_STEPS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class AllowedSilence:
    """Limits in seconds.

    `generation_seconds` is a floor: slow devices get more, up to the limit for loading.
    """

    generation_seconds: float = 120.0
    loading_seconds: float = 900.0
    """For the start, and for each load and warm-up of a model."""

    @property
    def poll_seconds(self) -> float:
        """Interval of the calls to `EngineWatchdog.lasted`."""
        return min(1.0, self.generation_seconds / 4)


class EngineWatchdog:
    """The silence of one engine process, since its start."""

    def __init__(self, allowed: AllowedSilence) -> None:
        self._allowed = allowed
        self._starting = True
        self._loading = True
        self._seconds = 0.0
        self._last_message_at: float | None = None
        self._steps: deque[float] = deque(maxlen=_REMEMBERED_STEPS)

    @property
    def allowed_seconds(self) -> float:
        """The current limit of silence."""
        floor, loading = self._allowed.generation_seconds, self._allowed.loading_seconds
        if self._loading:
            return loading
        return max(floor, min(loading, STEPS_OF_SILENCE * max(self._steps, default=0.0)))

    def on_message(self, message: FromEngine, *, now: float) -> None:
        """Record a message. `now` is in seconds of any clock."""
        if isinstance(message, StepDone) and self._last_message_at is not None and not self._loading:
            self._steps.append(now - self._last_message_at)
        if isinstance(message, EngineReady):
            self._starting = False
        self._loading = isinstance(message, PhaseChanged) and message.phase is Phase.LOADING_MODEL
        self._last_message_at = now
        self._seconds = 0.0

    def lasted(self, seconds: float, *, busy: bool) -> bool:
        """Record `seconds` of silence, and return whether it is too long.

        An idle engine may be silent forever. Silence is summed over polls and not read from a
        clock: while this process is stopped, it cannot receive messages, and that is not the
        engine's silence.
        """
        self._seconds = self._seconds + seconds if busy or self._starting else 0.0
        return self._seconds >= self.allowed_seconds

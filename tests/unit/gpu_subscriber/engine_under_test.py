"""EngineUnderTest: an EngineClient with its supervising thread, around the child process of a test."""

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

from common.domain.task import Phase, Task
from common.domain.task_records import TaskWarning
from gpu_subscriber.engine.messages import EngineReady
from gpu_subscriber.engine_host.client import EngineClient
from gpu_subscriber.engine_host.process import EngineProcess
from gpu_subscriber.engine_host.watchdog import AllowedSilence
from gpu_subscriber.ports import Piece

PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class Listener:
    """Records its calls."""

    phases: list[tuple[int, Phase]] = field(default_factory=list)
    steps: list[tuple[int, int]] = field(default_factory=list)
    previews: list[bytes] = field(default_factory=list)
    warnings: tuple[TaskWarning, ...] = ()
    drawing: threading.Event = field(default_factory=threading.Event)

    def phase_changed(self, index: int, phase: Phase) -> None:
        self.phases.append((index, phase))

    def warned(self, warnings: tuple[TaskWarning, ...]) -> None:
        self.warnings = warnings

    def step_done(self, index: int, step: int) -> None:
        self.steps.append((index, step))
        self.drawing.set()

    def preview_ready(self, index: int, step: int, jpeg: bytes) -> None:
        self.previews.append(jpeg)


class EngineUnderTest:
    """A client with its supervising thread, and the number of times that its engine became ready."""

    def __init__(
        self,
        spawn: Callable[[], EngineProcess],
        *,
        attempt_timeout_seconds: float = 60.0,
        allowed_silence: AllowedSilence = AllowedSilence(),  # noqa: B008 (frozen)
        interrupt_grace_seconds: float = 5.0,
    ) -> None:
        self.lives = threading.Semaphore(0)
        self.client = EngineClient(
            spawn,
            attempt_timeout_seconds=attempt_timeout_seconds,
            allowed_silence=allowed_silence,
            interrupt_grace_seconds=interrupt_grace_seconds,
            first_pause_seconds=0.001,
        )
        self.supervisor = threading.Thread(target=self.client.run, args=(self._ready,))
        self.supervisor.start()

    def _ready(self, _ready: EngineReady) -> None:
        self.lives.release()

    def drawn(self, wanted: Task, listener: Listener | None = None) -> list[Piece]:
        """Return all pieces of a task's drawing; blocks."""
        with closing(self.client.start(wanted, listener or Listener(), {})) as generation:
            return list(generation)

    def stop(self) -> None:
        self.client.stop(within_seconds=PATIENCE_SECONDS)
        self.supervisor.join(PATIENCE_SECONDS)

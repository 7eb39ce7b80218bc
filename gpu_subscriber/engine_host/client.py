"""The parent's side of the engine: keeps a child running and routes its reports to generations.

When the child dies, its current runs are known. If it ran a single task, that task is the cause:
its attempt fails, and the next one runs alone. Of several tasks, any may be the cause: each is
generated again in isolation, and then either finishes or is identified. An engine that is busy but
silent for too long is killed, and treated as dead.
"""

import itertools
import threading
import time
from collections.abc import Callable, Mapping

import structlog

from common.backoff import Backoff
from common.domain.task import Task
from gpu_subscriber.engine.messages import (
    NO_INPUTS,
    EngineMeasured,
    EngineReady,
    ImageReady,
    Inputs,
    Interrupt,
    RunFailed,
    RunInterrupted,
    RunReport,
    Shutdown,
    Start,
    ToEngine,
)
from gpu_subscriber.engine_host.exit import ENGINE_FAILURE_CODES
from gpu_subscriber.engine_host.generation import EngineGeneration, EngineLost
from gpu_subscriber.engine_host.metrics import count_end, count_work
from gpu_subscriber.engine_host.process import EngineProcess
from gpu_subscriber.engine_host.watchdog import AllowedSilence, EngineWatchdog
from gpu_subscriber.errors import EngineExitedError, GenerationInterruptedError
from gpu_subscriber.ports import Checkpoint, ProgressListener

_log = structlog.get_logger(__name__)
_LAST_REPORTS = (ImageReady, RunInterrupted, RunFailed)
_MAX_FAILED_STARTS = 5
"""Number of consecutive starts without EngineReady after which the worker stops."""


class EngineClient:
    """Implements ImageGenerator on a child process, and EngineHost for its generations.

    The engine answers an interrupt within one step; a generation stops waiting for the answer after
    `interrupt_grace_seconds`.
    """

    def __init__(
        self,
        spawn: Callable[[], EngineProcess],
        *,
        attempt_timeout_seconds: float,
        allowed_silence: AllowedSilence = AllowedSilence(),  # noqa: B008 (frozen)
        interrupt_grace_seconds: float = 4.0,
        first_pause_seconds: float = 0.25,
    ) -> None:
        self._spawn = spawn
        self._attempt_timeout = attempt_timeout_seconds
        self._allowed_silence = allowed_silence
        self._interrupt_grace = interrupt_grace_seconds
        self._backoff = Backoff(first_seconds=first_pause_seconds, max_seconds=30.0)
        self._changed = threading.Condition()
        self._child: EngineProcess | None = None
        self.ready: EngineReady | None = None
        """The latest EngineReady of the running engine; None while there is none."""
        self._runs: dict[str, tuple[EngineGeneration, int]] = {}
        self._unanswered: set[str] = set()
        """Runs whose last report is missing, including those of dismissed generations."""
        self._numbers = itertools.count(1)
        self._isolated: set[EngineGeneration] = set()
        """Suspects that wait for the engine or have runs in it. Others do not start meanwhile."""
        self._killed = False
        self._stopping = threading.Event()
        self._ended = threading.Event()

    def start(
        self,
        task: Task,
        listener: ProgressListener,
        checkpoints: Mapping[int, Checkpoint],
        inputs: Inputs = NO_INPUTS,
    ) -> EngineGeneration:
        """Create a generation. Its runs start when it is iterated."""
        # The counter distinguishes tasks that reuse a deleted task's id, whose attempts start at 1
        # again.
        drawing = f"{task.id}/{task.attempt}/{next(self._numbers)}"
        starts = tuple(
            Start(
                run_id=f"{drawing}/{index}",
                parameters=task.parameters,
                index=index,
                lane=task.lane,
                queued_at=task.queued_at.timestamp(),
                checkpoint=checkpoints[index].state if index in checkpoints else None,
                inputs=inputs,
            )
            for index in task.missing_images
        )
        generation = EngineGeneration(
            task,
            listener,
            starts,
            self,
            resumed_steps={index: checkpoint.step for index, checkpoint in checkpoints.items()},
            timeout_seconds=self._attempt_timeout,
            grace_seconds=self._interrupt_grace,
        )
        generation.runs_alone = task.failure is not None and task.failure.code in ENGINE_FAILURE_CODES
        return generation

    # ── for generations ──────────────────────────────────────────────────────────────────────────────────

    def admit(self, generation: EngineGeneration, *, timeout_seconds: float) -> None:
        with self._changed:
            if generation.runs_alone:
                self._isolated.add(generation)
            self._changed.wait_for(
                lambda: generation.interrupted or self._has_room_for(generation), timeout_seconds
            )
            child = self._child
            if generation.interrupted or child is None or not self._has_room_for(generation):
                raise GenerationInterruptedError(f"no engine took task {generation.task_id!r}")
            starts = generation.open_starts
            if neighbours := {owner for owner, _ in self._runs.values()}:
                for sharing in (generation, *neighbours):
                    sharing.has_shared_the_device = True
            self._runs |= {start.run_id: (generation, start.index) for start in starts}
            self._unanswered |= {start.run_id for start in starts}
        _send(child, *starts)

    def interrupt(self, generation: EngineGeneration, *, want_checkpoints: bool) -> None:
        with self._changed:
            child, mine = self._child, self._runs_of(generation)
            self._changed.notify_all()
        for run_id in mine:
            _send(child, Interrupt(run_id=run_id, want_checkpoint=want_checkpoints))

    def dismiss(self, generation: EngineGeneration) -> None:
        self.interrupt(generation, want_checkpoints=False)
        with self._changed:
            for run_id in self._runs_of(generation):
                del self._runs[run_id]
            self._isolated.discard(generation)
            self._changed.notify_all()

    def kill_engine(self, *, reason: str) -> None:
        _log.error("engine_killed", reason=reason)
        with self._changed:
            self._killed = True
            if self._child is not None:
                self._child.kill()

    # ── for the worker ───────────────────────────────────────────────────────────────────────────────────

    def run(self, on_ready: Callable[[EngineReady], None]) -> None:
        """Keep an engine running until `stop`, or until too many consecutive starts have failed."""
        failed_starts = 0
        try:
            while not self._stopping.is_set():
                failed_starts += 1
                if self._run_once(on_ready):
                    failed_starts = 0
                    self._backoff.reset()
                if failed_starts == _MAX_FAILED_STARTS:
                    return
                self._stopping.wait(self._backoff.next_pause())
        finally:
            self._ended.set()

    def stop(self, *, within_seconds: float) -> None:
        """Stop the engine permanently; kill it if that takes longer than `within_seconds`."""
        self._stopping.set()
        with self._changed:
            child = self._child
        _send(child, Shutdown())
        if child is not None and not self._ended.wait(within_seconds):
            child.kill()
            self._ended.wait(within_seconds)

    def _run_once(self, on_ready: Callable[[EngineReady], None]) -> bool:
        """Run one child until it ends; return whether it became ready."""
        try:
            child = self._spawn()
        except OSError as error:  # no memory or process ids are left, for example
            _log.error("engine_not_started", error=str(error))
            return False
        _log.info("engine_started", pid=child.pid)
        with self._changed:
            self._child, self._killed = child, False
        if self._stopping.is_set():  # `stop` may have run before the child was stored
            child.kill()
        came_up = False
        silence, poll_seconds = EngineWatchdog(self._allowed_silence), self._allowed_silence.poll_seconds
        try:
            while True:
                message = child.receive(within_seconds=poll_seconds)
                if isinstance(message, EngineMeasured):
                    count_work(message)
                elif message is not None:
                    silence.on_message(message, now=time.monotonic())
                    came_up = self._handle_messages(message, on_ready) or came_up
                elif silence.lasted(poll_seconds, busy=bool(self._unanswered)):
                    _log.error("engine_silent", pid=child.pid, allowed_seconds=silence.allowed_seconds)
                    child.kill(hung=True)
        except EngineExitedError:
            self._handle_exit(child)
        return came_up

    def _handle_messages(
        self, message: EngineReady | RunReport, on_ready: Callable[[EngineReady], None]
    ) -> bool:
        if isinstance(message, EngineReady):
            with self._changed:
                self.ready = message
                self._changed.notify_all()
            _log.info(
                "engine_ready",
                models=message.models,
                broken=[broken.model for broken in message.broken],
                device=message.device,
                slots=message.slots,
            )
            on_ready(message)
            return True
        with self._changed:
            run = self._runs.get(message.run_id)
            if isinstance(message, _LAST_REPORTS):
                self._runs.pop(message.run_id, None)
                self._unanswered.discard(message.run_id)
                if run is not None and not self._runs_of(run[0]):
                    self._isolated.discard(run[0])  # its images may take long to store
                self._changed.notify_all()  # a suspect may be waiting until no other run is active
        if run is not None:  # otherwise its generation was dismissed
            generation, index = run
            generation.on_report(index, message)
        return False

    def _handle_exit(self, child: EngineProcess) -> None:
        end = child.ended(within_seconds=5.0)
        with self._changed:
            victims = tuple({id(generation): generation for generation, _ in self._runs.values()}.values())
            # A dismissed run may be the cause, too.
            alone = len(victims) == 1 and self._unanswered <= self._runs.keys()
            caused_crash = alone and not self._killed
            if not caused_crash and not self._killed:
                for victim in victims:
                    victim.runs_alone = True
            self._isolated.difference_update(victims)  # until they wait for the next engine
            self._runs.clear()
            self._unanswered.clear()
            self._child = self.ready = None
            for victim in victims:
                victim.engine_lost(EngineLost(caused_crash=caused_crash, failure=end.failure))
        if not self._stopping.is_set():
            count_end(end)
        report = _log.info if self._stopping.is_set() else _log.error
        report(
            "engine_ended",
            end=end.name,
            cause=end.cause.value,
            pid=child.pid,
            drawing=[victim.task_id for victim in victims],
            caused_crash=caused_crash,
        )

    def _has_room_for(self, generation: EngineGeneration) -> bool:
        if self.ready is None:
            return False
        return not self._unanswered if generation.runs_alone else not self._isolated

    def _runs_of(self, generation: EngineGeneration) -> tuple[str, ...]:
        return tuple(run_id for run_id, (owner, _) in self._runs.items() if owner is generation)


def _send(child: EngineProcess | None, *messages: ToEngine) -> None:
    """Send messages to the engine, if there is one.

    If it has just died, the reading thread notifies all generations concerned.
    """
    if child is not None:
        child.send(*messages)

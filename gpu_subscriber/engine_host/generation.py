"""The runs of one task, as seen from the callback thread that waits for them."""

import queue
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

import structlog

from common.domain.failures import FailureCode
from common.domain.task import Failure, Phase, RunSeconds, Task
from common.observability.metrics import CHECKPOINTS_REFUSED, counter
from gpu_subscriber.engine.messages import (
    CheckpointReady,
    CheckpointRefused,
    ImageReady,
    PhaseChanged,
    PreviewReady,
    RunFailed,
    RunInterrupted,
    RunReport,
    RunWarned,
    Start,
    StepDone,
)
from gpu_subscriber.engine_host.attempt_clock import AttemptClock
from gpu_subscriber.engine_host.run_ledger import RunLedger
from gpu_subscriber.engine_host.run_spans import RunSpans
from gpu_subscriber.errors import GenerationFailedError, GenerationInterruptedError
from gpu_subscriber.ports import Checkpoint, FailedRun, GeneratedImage, Piece, ProgressListener

_log = structlog.get_logger(__name__)
_checkpoints_refused = counter(CHECKPOINTS_REFUSED)
_UNDELAYED_SHARE = 0.9
"""An attempt whose own images had the device for this share of its time was not delayed by others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLost:
    """The engine process died with runs of this task; `caused_crash` if no other task had runs in it."""

    caused_crash: bool
    failure: Failure
    """The failure if the task caused the crash."""


class EngineHost(Protocol):
    """The part of EngineClient that generations use. It runs tasks together, or a suspect alone."""

    def admit(self, generation: "EngineGeneration", *, timeout_seconds: float) -> None:
        """Wait until the open runs of a generation may start, and start them.

        Raises GenerationInterruptedError if it is interrupted meanwhile, or if no engine was ready
        in time.
        """
        ...

    def interrupt(self, generation: "EngineGeneration", *, want_checkpoints: bool) -> None:
        """Stop the generation's runs at their next step. Does not wait."""
        ...

    def dismiss(self, generation: "EngineGeneration") -> None:
        """Remove the generation, and stop its remaining runs."""
        ...

    def kill_engine(self, *, reason: str) -> None:
        """Kill a hung engine. Other tasks in it start over in the next engine."""
        ...


class EngineGeneration:
    """Implements Generation. Runs lost in a crash that another task may have caused start over."""

    def __init__(
        self,
        task: Task,
        listener: ProgressListener,
        starts: tuple[Start, ...],
        host: EngineHost,
        *,
        resumed_steps: Mapping[int, int] = MappingProxyType({}),
        timeout_seconds: float,
        grace_seconds: float,
    ) -> None:
        self.task_id = task.id
        self._model = task.parameters.model
        self.interrupted = False
        self.has_shared_the_device = False
        """Whether other tasks had runs in the engine beside these. Set by the host."""
        self.runs_alone = False
        """Whether it is suspected of having ended an engine. Set by the host."""
        self._listener = listener
        self._spans = RunSpans()
        self._open = {start.index: start for start in starts}
        self._host = host
        self._most_seconds = timeout_seconds
        self._clock = AttemptClock(
            now=time.monotonic(), waiting_seconds=timeout_seconds, generating_seconds=timeout_seconds
        )
        self._answer_by: float | None = None
        self._grace_seconds = grace_seconds
        self._want_checkpoints = False
        self._timed_out = False
        self._stopped_early = False
        self._lives = 0
        self._answers: queue.SimpleQueue[tuple[int, RunReport | None] | EngineLost | None] = (
            queue.SimpleQueue()
        )
        """The last reports of runs; instead of a checkpoint, None."""
        self._checkpoints: dict[int, CheckpointReady] = {}
        """The newest of each image. Others are dropped: the bucket may be slower than the engine."""
        self._ledger = RunLedger(starts)
        self._resumed_steps = resumed_steps
        """The steps of earlier attempts' checkpoints by image, whether the engine accepts them or not."""
        self._saved_steps: dict[int, int] = {}
        """The steps of this attempt's newest checkpoints by image."""
        self._has_images = False

    @property
    def open_starts(self) -> tuple[Start, ...]:
        """The runs that have not ended yet."""
        return tuple(self._open.values())

    @property
    def runs(self) -> tuple[RunSeconds, ...]:
        return self._ledger.runs

    def interrupt(self, *, want_checkpoints: bool = False) -> None:
        if not self.interrupted:
            self._answer_by = time.monotonic() + self._grace_seconds
            self.interrupted = True
            self._answers.put(None)  # wake the waiting thread: the deadline has changed
        self._want_checkpoints = self._want_checkpoints or want_checkpoints
        self._host.interrupt(self, want_checkpoints=want_checkpoints)

    def close(self) -> None:
        self._host.dismiss(self)
        self._spans.close()

    def on_report(self, index: int, report: RunReport) -> None:
        """Add a report of the run `index`, on the engine's reading thread. Returns at once."""
        match report:
            case PhaseChanged():
                self._engine_reports(report.phase)
                self._spans.entered(index, report.phase)
                self._listener.phase_changed(index, report.phase)
            case RunWarned():
                self._listener.warned(report.warnings)
            case StepDone():
                self._engine_reports(Phase.DENOISING)
                self._ledger.reported(index, report.gpu_seconds)
                self._listener.step_done(index, report.step)
            case PreviewReady():
                self._listener.preview_ready(index, report.step, report.jpeg)
            case CheckpointRefused():
                _log.warning("checkpoint_refused", task_id=self.task_id, index=index, reason=report.reason)
                self._ledger.checkpoint_refused(index)
                _checkpoints_refused.add(1, {"model": self._model})
            case CheckpointReady():
                self._checkpoints[index] = report
                self._answers.put((index, None))
            case _:
                self._ledger.reported(index, report.gpu_seconds)
                self._spans.ended(index, report)
                self._answers.put((index, report))

    def engine_lost(self, loss: EngineLost) -> None:
        """Record that the engine died with the runs. Called on its reading thread."""
        self._answers.put(loss)

    def __iter__(self) -> Iterator[Piece]:
        if self._open:
            self._admit()
        while self._open:
            answer = self._answer()
            if isinstance(answer, EngineLost):
                self._start_over(answer)
                self._admit()
                continue
            index, report = answer
            match report:
                case ImageReady():
                    del self._open[index]
                    self._has_images = True
                    yield _generated(index, report)
                case None if (newest := self._checkpoints.pop(index, None)) is not None:
                    self._open[index] = replace(self._open[index], checkpoint=newest.checkpoint)
                    yield self._saved(index, newest.step, newest.checkpoint)
                case RunInterrupted():
                    del self._open[index]
                    self._stopped_early = True
                    if report.checkpoint is not None:
                        yield self._saved(index, report.step, report.checkpoint)
                case RunFailed():
                    del self._open[index]
                    yield FailedRun(index=index, failure=report.failure)
        if self._stopped_early:
            raise self._stopped(f"task {self.task_id!r} was interrupted")

    def _saved(self, index: int, step: int, state: bytes) -> Checkpoint:
        self._saved_steps[index] = step
        return Checkpoint(index=index, step=step, state=state)

    def _stopped(self, why: str) -> Exception:
        """Return the error of an interrupted attempt: at its time limit it fails or is handed back."""
        if self._timed_out and not self._may_continue:
            return GenerationFailedError(FailureCode.ATTEMPT_TIMED_OUT.failure())
        return GenerationInterruptedError(why)

    @property
    def _may_continue(self) -> bool:
        """Whether others delayed the attempt, and the next one begins further than this one did.

        Otherwise an image that no checkpoint holds would start over again and again.
        """
        own_seconds = sum(run.gpu_seconds for run in self._ledger.runs)
        is_further = self._has_images or any(
            step > self._resumed_steps.get(index, 0) for index, step in self._saved_steps.items()
        )
        was_delayed = own_seconds < _UNDELAYED_SHARE * self._most_seconds
        return self.has_shared_the_device and was_delayed and is_further

    @property
    def _seconds_left(self) -> float:
        deadline = self._clock.deadline if self._answer_by is None else self._answer_by
        return max(0.0, deadline - time.monotonic())

    def _engine_reports(self, phase: Phase) -> None:
        """Start the generating budget with the first phase other than loading a model."""
        if phase is not Phase.LOADING_MODEL and not self._clock.is_generating:
            self._clock.generate(time.monotonic())
            self._answers.put(None)  # wake the waiting thread: the deadline has changed

    def _admit(self) -> None:
        for index, start in self._open.items():
            self._spans.begin(index, resumes=start.checkpoint is not None)
        self._host.admit(self, timeout_seconds=self._seconds_left)
        if self.interrupted:
            # The interrupt may have arrived before the starts; the engine ignores unknown runs.
            self._host.interrupt(self, want_checkpoints=self._want_checkpoints)

    def _answer(self) -> tuple[int, RunReport | None] | EngineLost:
        while True:
            try:
                answer = self._answers.get(timeout=self._seconds_left)
            except queue.Empty:
                if self._seconds_left <= 0.0:  # otherwise the clock has switched to another budget meanwhile
                    self._time_is_up()
            else:
                if answer is not None:
                    return answer

    def _time_is_up(self) -> None:
        if self._timed_out and not self.has_shared_the_device:
            self._host.kill_engine(reason="it did not answer an interrupt")
        if self.interrupted:  # it may be loading a model: do not wait for that
            raise self._stopped(f"task {self.task_id!r} was interrupted without an answer")
        if not self._clock.is_generating:  # other tasks were ahead for too long: another worker may be free
            raise GenerationInterruptedError(f"the engine did not start task {self.task_id!r} in time")
        self._timed_out = True
        self.interrupt(want_checkpoints=True)

    def _start_over(self, loss: EngineLost) -> None:
        if self.interrupted:
            raise self._stopped(f"the engine died while task {self.task_id!r} was interrupted")
        if loss.caused_crash:
            raise GenerationFailedError(loss.failure)
        self._clock.wait(time.monotonic())
        self._lives += 1
        _log.info("generation_started_over", task_id=self.task_id, runs=len(self._open))
        for index, start in self._open.items():
            self._ledger.engine_lost(index, resumes=start.checkpoint is not None)
            self._open[index] = replace(start, run_id=f"{start.run_id}+{self._lives}")


def _generated(index: int, image: ImageReady) -> GeneratedImage:
    return GeneratedImage(
        index=index,
        width=image.width,
        height=image.height,
        pixels=image.pixels,
        gpu_seconds=image.gpu_seconds,
        draw_conditions=image.draw_conditions,
        resumed_at_step=image.resumed_at_step,
        times=image.times,
    )

"""ActiveRuns: every unanswered Run of the engine, and the only place that sends final answers.

Each Start is answered by exactly one of ImageReady, RunInterrupted and RunFailed. A Run leaves the
list when it is answered; a Run that is not in the list is never answered again.
"""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import structlog
import torch

from common.domain.provenance import DrawConditions
from common.domain.task import Failure
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.devices import is_device_lost, is_out_of_memory
from gpu_subscriber.engine.errors import (
    ContentFilteredError,
    EngineError,
    InvalidOutputError,
    OutOfMemoryError,
    RunStoppedError,
)
from gpu_subscriber.engine.messages import FromEngine, ImageReady, RunFailed, RunInterrupted, Start
from gpu_subscriber.engine.runs.run import Run

_log = structlog.get_logger()

Send = Callable[[FromEngine], None]
"""Queues a message for the parent; never blocks."""


class ActiveRuns:
    """The Runs by id, in order of arrival."""

    def __init__(
        self,
        *,
        send: Send,
        clock: Callable[[], float],
        defer: Callable[[Callable[[], None]], None],
    ) -> None:
        self._send = send
        self._defer = defer
        self._clock = clock
        self._runs: dict[str, Run] = {}
        self._arrivals = 0
        self._failed: list[tuple[Run, Failure]] = []

    def __iter__(self) -> Iterator[Run]:
        return iter(tuple(self._runs.values()))

    def __len__(self) -> int:
        return len(self._runs)

    def __contains__(self, run: Run) -> bool:
        return run.run_id in self._runs

    def get(self, run_id: str) -> Run | None:
        """Return the Run with this id, or None once it has been answered."""
        return self._runs.get(run_id)

    def of_model(self, model: str) -> tuple[Run, ...]:
        """Return the Runs of this model."""
        return tuple(run for run in self if run.start.parameters.model == model)

    def add(self, start: Start, key: BatchKey) -> Run:
        """Add a Run for a Start that has just arrived."""
        self._arrivals += 1
        run = Run.of(start, key=key, now=self._clock(), arrival=self._arrivals)
        self._runs[run.run_id] = run
        return run

    def release(self, run: Run) -> None:
        """Remove a Run that has no steps left.

        `deliver` sends its answer once its pixels have arrived.
        """
        del self._runs[run.run_id]

    def deliver(
        self,
        run: Run,
        draw_conditions: DrawConditions,
        pixels: torch.Tensor,
        *,
        finite: torch.Tensor,
        varied: torch.Tensor,
        refused: torch.Tensor,
    ) -> None:
        """Answer a released Run: `pixels` (H, W, 3) uint8, the verdicts 0-dim, all on the CPU.

        A bad image may be a fault of the device, so the first one is drawn again. If the numbers
        are not finite the second time, the Run fails. A second image of a single colour is
        delivered: the model draws it. An image that the content policy refuses fails its Run.
        """
        if not (bool(finite) and bool(varied)) and not run.is_regenerated:
            _log.warning("run_drawn_again", run_id=run.run_id, finite=bool(finite), varied=bool(varied))
            run.restart()
            self._runs[run.run_id] = run
            return
        if not bool(finite):
            self._send_failure(run, InvalidOutputError().failure)
            return
        if bool(refused):
            self._send_failure(run, ContentFilteredError().failure)
            return
        height, width, _ = pixels.shape
        self._send(
            ImageReady(
                run_id=run.run_id,
                width=width,
                height=height,
                pixels=pixels.numpy().tobytes(),
                gpu_seconds=run.gpu_seconds,
                draw_conditions=draw_conditions,
                resumed_at_step=run.resumed_at_step,
                times=run.stopwatch.times,
            )
        )

    def interrupt(self, run: Run, *, checkpoint: bytes | None = None) -> None:
        """Stop a Run as requested. Its answer is sent once its last steps are timed."""
        del self._runs[run.run_id]
        self._defer(
            lambda: self._send(
                RunInterrupted(
                    run_id=run.run_id, step=run.steps_done, gpu_seconds=run.gpu_seconds, checkpoint=checkpoint
                )
            )
        )

    def fail(self, run: Run, error: Exception) -> None:
        """Remove a Run that cannot continue.

        `answer_failures` sends the answer once its cost is charged.
        """
        del self._runs[run.run_id]
        failure = failure_of(error)
        unexpected = not isinstance(error, EngineError | torch.OutOfMemoryError)
        _log.warning(
            "run_failed",
            run_id=run.run_id,
            code=failure.code,
            error=type(error).__name__,
            # Log only the frames: the text of an error and the variables of a frame may quote the
            # prompt.
            frames=traceback.format_tb(error.__traceback__) if unexpected else None,
        )
        self._failed.append((run, failure))

    def answer_failures(self) -> None:
        """Send the answers of failed Runs once their last steps are timed."""
        failed, self._failed = self._failed, []
        for run, failure in failed:
            self._defer(partial(self._send_failure, run, failure))

    @contextmanager
    def failing_on_error(self, run: Run) -> Iterator[None]:
        """Fail this Run if the block raises, unless the Run has already left the list.

        A lost device affects every Run, and a stopped Run is not a failure: both errors pass
        through.
        """
        try:
            yield
        except RunStoppedError:
            raise
        except Exception as error:
            if is_device_lost(error) or run not in self:
                raise
            self.fail(run, error)

    def _send_failure(self, run: Run, failure: Failure) -> None:
        self._send(RunFailed(run_id=run.run_id, failure=failure, gpu_seconds=run.gpu_seconds))


def failure_of(error: Exception) -> Failure:
    """Return the failure that the task's owner sees.

    The text of foreign errors is withheld: it may quote anything.
    """
    if isinstance(error, EngineError):
        return error.failure
    if is_out_of_memory(error):
        return OutOfMemoryError().failure
    return EngineError().failure

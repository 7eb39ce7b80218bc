"""An engine that uses the engine's messages and paints one color. It starts at once and costs no
CPU time.

The color is the last value of a chain with one value per step: only a Run that executes each step
exactly once, resumed or not, produces the color of its parameters. A prompt with SEQUENTIAL
generates its images one after another. A prompt with REFUSED and an index never gets that image.
"""

import hashlib
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from common.domain.parameters import GenerationParameters
from common.domain.task import Failure, Phase
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.exit_codes import PARENT_EXITED
from gpu_subscriber.engine.messages import (
    CheckpointReady,
    EngineReady,
    FromEngine,
    ImageReady,
    Interrupt,
    PhaseChanged,
    RunFailed,
    RunInterrupted,
    Shutdown,
    Start,
    StepDone,
    ToEngine,
)
from tests.factories import draw_conditions

SEQUENTIAL = "in turn"
REFUSED = "refused image"
STEP_SECONDS = float(os.environ.get("CHAOS_STEP_SECONDS", "0.02"))


class Pipe(Protocol):
    """The used methods of a multiprocessing Connection."""

    def poll(self, timeout: float | None = 0.0) -> bool: ...
    def recv(self) -> ToEngine: ...
    def send(self, message: FromEngine) -> None: ...


@dataclass(slots=True)
class _Run:
    start: Start
    step: int
    state: bytes
    resumed_at: int = 0
    checkpointed_at: float = 0.0
    gpu_seconds: float = 0.0

    @classmethod
    def begun(cls, start: Start) -> "_Run":
        if start.checkpoint is None:
            return cls(start, 0, b"", checkpointed_at=time.monotonic())
        step = int.from_bytes(start.checkpoint[:4])
        return cls(start, step, start.checkpoint[4:], resumed_at=step, checkpointed_at=time.monotonic())

    @property
    def checkpoint(self) -> bytes:
        return self.step.to_bytes(4) + self.state

    def advance(self) -> None:
        parameters = self.start.parameters
        self.step += 1
        self.state = _next_state(self.state, parameters, self.start.index, self.step)
        self.gpu_seconds += STEP_SECONDS


def expected_color(parameters: GenerationParameters, index: int) -> tuple[int, int, int]:
    """Return the color of image `index`, computed from its parameters only."""
    state = b""
    for step in range(1, parameters.steps + 1):
        state = _next_state(state, parameters, index, step)
    return (state[0], state[1], state[2])


def serve_stand_in(pipe: Pipe, settings: EngineSettings) -> None:
    """Run the child's loop: receive messages and execute a step of every Run, until Shutdown."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    pipe.send(
        EngineReady(
            models=tuple(spec.name for spec in settings.models),
            device="none",
            dtype="none",
            slots=settings.max_batch,
            versions={"stand_in": "1"},
        )
    )
    runs: dict[str, _Run] = {}
    while True:
        try:
            while pipe.poll(STEP_SECONDS if runs else None):
                if _handle(pipe, pipe.recv(), runs):
                    return
        except (EOFError, OSError):
            os._exit(PARENT_EXITED)
        for run_id, run in list(runs.items()):
            if _must_wait(run, runs.values()):
                continue
            if f"{REFUSED} {run.start.index}" in run.start.parameters.prompt:
                failure = Failure(code="content_filtered", message="The safety checker refused the picture.")
                pipe.send(RunFailed(run_id=run_id, failure=failure, gpu_seconds=run.gpu_seconds))
                del runs[run_id]
                continue
            _advance(pipe, run_id, run, settings.checkpoint_interval_seconds)
            if run.step >= run.start.parameters.steps:
                del runs[run_id]


def _must_wait(run: _Run, runs: Iterable[_Run]) -> bool:
    """Return whether the prompt requires sequential images and an earlier one is in progress."""
    start = run.start
    return SEQUENTIAL in start.parameters.prompt and any(
        other.start.parameters == start.parameters and other.start.index < start.index for other in runs
    )


def _handle(pipe: Pipe, message: ToEngine, runs: dict[str, _Run]) -> bool:
    """Handle a message. Return whether it was the last one."""
    match message:
        case Start():
            runs[message.run_id] = _Run.begun(message)
            pipe.send(PhaseChanged(run_id=message.run_id, phase=Phase.DENOISING))
        case Interrupt():
            run = runs.pop(message.run_id, None)
            if run is not None:
                pipe.send(
                    RunInterrupted(
                        run_id=message.run_id,
                        step=run.step,
                        gpu_seconds=run.gpu_seconds,
                        checkpoint=run.checkpoint if message.want_checkpoint else None,
                    )
                )
        case Shutdown():
            return True
    return False


def _advance(pipe: Pipe, run_id: str, run: _Run, checkpoint_interval_seconds: float) -> None:
    parameters, now = run.start.parameters, time.monotonic()
    run.advance()
    pipe.send(StepDone(run_id=run_id, step=run.step, steps=parameters.steps, gpu_seconds=run.gpu_seconds))
    if run.step == parameters.steps:
        color = bytes(run.state[:3])
        pipe.send(
            ImageReady(
                run_id=run_id,
                width=parameters.width,
                height=parameters.height,
                pixels=color * (parameters.width * parameters.height),
                gpu_seconds=run.gpu_seconds,
                draw_conditions=draw_conditions(batches=(1,) * parameters.steps),
                resumed_at_step=run.resumed_at,
            )
        )
    elif checkpoint_interval_seconds and now - run.checkpointed_at >= checkpoint_interval_seconds:
        run.checkpointed_at = now
        pipe.send(CheckpointReady(run_id=run_id, step=run.step, checkpoint=run.checkpoint))


def _next_state(state: bytes, parameters: GenerationParameters, index: int, step: int) -> bytes:
    text = f"{parameters.prompt}/{parameters.seed_of(index)}/{step}".encode()
    return hashlib.sha256(state + text).digest()

"""A real child process that uses the engine's messages and generates nothing: the prompt selects its behaviour.

draw    every step, a preview, a grey image          fail    RunFailed, retryable
wait    one step, then nothing until an Interrupt    die     SIGKILL to itself
deaf    as `wait`, and Interrupts are ignored        wait once    `wait`, but `draw` after a restart
stuck   one step, then no messages in or out         SIGSEGV      that signal to itself, or any other by its name
exit 70 that exit code, or any other                 eaten        killed as by the kernel's OOM killer, and counted
behind  nothing until an Interrupt: as for a task with others ahead in the queue
mumble  as `stuck`, in the middle of a message       heir    `die`, while another process still holds the pipe
whole   as `wait`, and without a checkpoint: as an image of a whole pipeline
share   `draw`; `resumed_at_step` is the number of earlier Starts with the same pictures
"""

import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from common.domain.task import Failure, Phase
from gpu_subscriber.engine.duplex_pipe import unpacked
from gpu_subscriber.engine.messages import (
    EngineReady,
    ImageReady,
    Interrupt,
    PhaseChanged,
    PreviewReady,
    RunFailed,
    RunInterrupted,
    Shutdown,
    Start,
    StepDone,
    ToEngine,
)
from tests.factories import draw_conditions

FAKE_ENGINE = "tests.fakes.fake_engine_process:run_fake_engine"


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeEngineSettings:
    """How the fake engine starts."""

    slots: int = 4
    never_ready: bool = False
    never_says_anything: bool = False
    oom_kills: Path | None = None
    """The counter file of `eaten`."""


def run_fake_engine(pipe: Connection, settings: FakeEngineSettings) -> None:
    """Run the child's loop."""
    if settings.never_ready:
        os._exit(71)
    if settings.never_says_anything:
        threading.Event().wait()
    pipe.send(
        EngineReady(
            models=("demo",), device="fake", dtype="none", slots=settings.slots, versions={"fake": "1"}
        )
    )
    waiting: dict[str, Start] = {}
    for message in _messages(pipe):
        match message:
            case Start():
                _start(pipe, message, waiting, settings)
            case Interrupt(run_id=run_id) if (
                run_id in waiting and waiting[run_id].parameters.prompt != "deaf"
            ):
                can_be_saved = waiting.pop(run_id).parameters.prompt != "whole"
                checkpoint = b"state" if message.want_checkpoint and can_be_saved else None
                pipe.send(RunInterrupted(run_id=run_id, step=1, gpu_seconds=0.25, checkpoint=checkpoint))
            case Shutdown():
                return


def _messages(pipe: Connection) -> Iterator[ToEngine]:
    while True:
        try:
            yield from unpacked(pipe.recv())
        except EOFError:
            os._exit(3)


def _start(pipe: Connection, start: Start, waiting: dict[str, Start], settings: FakeEngineSettings) -> None:
    prompt, run_id = start.parameters.prompt, start.run_id
    if prompt == "wait once":
        prompt = "draw" if "+" in run_id else "wait"
    match prompt:
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
        case _ if prompt in signal.Signals.__members__:
            os.kill(os.getpid(), signal.Signals[prompt])
        case _ if prompt.startswith("exit "):
            os._exit(int(prompt.removeprefix("exit ")))
        case "eaten" if settings.oom_kills is not None:
            settings.oom_kills.write_text(str(int(settings.oom_kills.read_text()) + 1))
            os.kill(os.getpid(), signal.SIGKILL)
        case "stuck":
            _take_one_step(pipe, start)
            threading.Event().wait()
        case "heir":
            if os.fork() == 0:
                _wait_for_the_end_of(pipe)
            os.kill(os.getpid(), signal.SIGKILL)
        case "mumble":
            os.write(pipe.fileno(), (1_000).to_bytes(4, "big") + b"far fewer bytes than were announced")
            threading.Event().wait()
        case "fail":
            failure = Failure(code="out_of_gpu_memory", message="too big", retryable=True)
            pipe.send(RunFailed(run_id=run_id, failure=failure, gpu_seconds=0.5))
        case "draw":
            _draw(pipe, start, resumed_at_step=0 if start.checkpoint is None else 1)
        case "share":
            sharing = sum(other.inputs is start.inputs for other in waiting.values())
            waiting[run_id] = start
            _draw(pipe, start, resumed_at_step=sharing)
        case "behind":
            waiting[run_id] = start
        case _:
            waiting[run_id] = start
            _take_one_step(pipe, start)


def _wait_for_the_end_of(pipe: Connection) -> None:
    try:
        while True:
            pipe.recv()
    except EOFError:
        os._exit(0)


def _take_one_step(pipe: Connection, start: Start) -> None:
    pipe.send(PhaseChanged(run_id=start.run_id, phase=Phase.DENOISING))
    pipe.send(StepDone(run_id=start.run_id, step=1, steps=start.parameters.steps))


def _draw(pipe: Connection, start: Start, *, resumed_at_step: int) -> None:
    parameters, run_id = start.parameters, start.run_id
    pipe.send(PhaseChanged(run_id=run_id, phase=Phase.DENOISING))
    for step in range(1, parameters.steps + 1):
        pipe.send(StepDone(run_id=run_id, step=step, steps=parameters.steps))
    pipe.send(PreviewReady(run_id=run_id, step=parameters.steps, jpeg=b"jpeg"))
    pipe.send(
        ImageReady(
            run_id=run_id,
            width=parameters.width,
            height=parameters.height,
            pixels=bytes([start.index]) * (parameters.width * parameters.height * 3),
            gpu_seconds=1.0,
            draw_conditions=draw_conditions(),
            resumed_at_step=resumed_at_step,
        )
    )

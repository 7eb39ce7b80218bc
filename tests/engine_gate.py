"""Holds an engine in the middle of its work, so that a test can observe a task that cannot finish
meanwhile.

The engine belongs to a worker of `tests.worker_program`. A held engine still receives messages: it
takes one more step after each.
"""

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from gpu_subscriber.engine import engine_process
from gpu_subscriber.engine.duplex_pipe import DuplexPipe, unpacked
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.messages import (
    FromEngine,
    ImageReady,
    RunFailed,
    RunInterrupted,
    Start,
    StepDone,
    ToEngine,
)
from local_stack.processes.child_process import ChildProcess

FOLDER_VARIABLE = "ENGINE_GATE"
IGNORED_MODEL_VARIABLE = "ENGINE_GATE_IGNORES"
"""A model whose Runs need not take steps before the engine is held."""
WORKER_MODULE = "tests.worker_program"
_POLL_SECONDS = 0.01
_QUANTUM_SECONDS = 0.01


def engine_of(worker: ChildProcess) -> psutil.Process:
    """Return the worker's engine process. Raises LookupError while there is none."""
    return engine_below(worker.pid)


def engine_below(pid: int) -> psutil.Process:
    """Return the engine process whose parent is `pid`. Raises LookupError while there is none."""
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):
            if any("spawn_main" in argument for argument in child.cmdline()):
                return child
    raise LookupError(f"process {pid} has no engine")


class EngineGate:
    """The test's side: a folder with a file for each held engine."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    @property
    def environment(self) -> dict[str, str]:
        """The variables of a worker whose engine is the production engine and can be held."""
        return {FOLDER_VARIABLE: str(self._folder), "WORKER_ENGINE": f"{__name__}:run_gated_engine"}

    def hold(self, engine: psutil.Process, *, steps: int = 1, images: int = 0) -> None:
        """Hold the engine once all its Runs have taken this many steps, or once it has finished this
        many images. A process that replaces the engine is not held.
        """
        order = self._folder / str(engine.pid)
        unfinished = order.with_suffix(".new")
        unfinished.write_text(f"{steps} {images}")
        unfinished.replace(order)

    def release(self) -> None:
        """Let all engines continue."""
        for order in self._folder.iterdir():
            order.unlink()

    @contextmanager
    def held(self, engine: psutil.Process, *, steps: int = 1) -> Iterator[None]:
        """Hold the engine within the block."""
        self.hold(engine, steps=steps)
        try:
            yield
        finally:
            self.release()


class GatedRuns:
    """The engine's side: counts the steps of its Runs, and waits while the test holds it."""

    def __init__(self) -> None:
        self._order = Path(os.environ[FOLDER_VARIABLE]) / str(os.getpid())
        self._ignored_model = os.environ.get(IGNORED_MODEL_VARIABLE)
        self._steps: dict[str, int] = {}
        self._finished_images = 0

    def received(self, message: ToEngine | None) -> None:
        """Record a message to the engine."""
        if isinstance(message, Start) and message.parameters.model != self._ignored_model:
            self._steps[message.run_id] = 0

    def sent(self, message: FromEngine, *, has_message: Callable[[], bool]) -> None:
        """Record a message of the engine. Block after a step while the engine is held and no message
        waits for it.
        """
        match message:
            case StepDone(run_id=run_id) if run_id in self._steps:
                self._steps[run_id] = message.step
                while self._is_held() and not has_message():
                    time.sleep(_POLL_SECONDS)
            case ImageReady(run_id=run_id):
                self._finished_images += 1
                self._steps.pop(run_id, None)
            case RunFailed(run_id=run_id) | RunInterrupted(run_id=run_id):
                self._steps.pop(run_id, None)

    def _is_held(self) -> bool:
        try:
            steps, images = map(int, self._order.read_text().split())
        except FileNotFoundError:
            return False
        if images:
            return self._finished_images >= images
        return min(self._steps.values()) >= steps


class GatedConnection:
    """A pipe to the worker, for an engine that reads and writes it on one thread."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe
        self._runs = GatedRuns()
        self._arrived: deque[ToEngine] = deque()

    def poll(self, timeout: float | None = 0.0) -> bool:
        return bool(self._arrived) or bool(self._pipe.poll(timeout))

    def recv(self) -> ToEngine:
        if not self._arrived:
            self._arrived.extend(unpacked(self._pipe.recv()))
        message = self._arrived.popleft()
        self._runs.received(message)
        return message

    def send(self, message: FromEngine) -> None:
        self._pipe.send(message)
        self._runs.sent(message, has_message=self.poll)


class GatedDuplexPipe(DuplexPipe[ToEngine, FromEngine]):
    """The production engine's pipe, which never blocks the engine except while it is held."""

    def __init__(self, connection: Connection, **options: Any) -> None:
        super().__init__(connection, **options)
        self._runs = GatedRuns()

    def receive(self, *, wait: bool = True, within_seconds: float | None = None) -> ToEngine | None:
        message = super().receive(wait=wait, within_seconds=within_seconds)
        self._runs.received(message)
        return message

    def send(self, *messages: FromEngine) -> None:
        super().send(*messages)
        for message in messages:
            self._runs.sent(message, has_message=lambda: not self._incoming.empty())


def run_gated_engine(pipe: Any, settings: EngineSettings) -> None:
    """Run the production engine behind a gate.

    Its turns are so short that no Run finishes before those of other models have begun.
    """
    names: dict[str, Any] = vars(engine_process)
    names["DuplexPipe"] = GatedDuplexPipe
    engine_process.run_engine(pipe, replace(settings, quantum_seconds=_QUANTUM_SECONDS))

"""EngineChild: one engine process, its pipe and its end. Nothing of torch is imported on this side."""

import importlib
import multiprocessing
import signal
import threading
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import cast

from gpu_subscriber.engine.messages import FromEngine, ToEngine
from gpu_subscriber.errors import EngineGoneError

# Not fork: gRPC's threads do not survive it, and CUDA cannot be initialised in a forked process.
_SPAWN = multiprocessing.get_context("spawn")


class EngineChild:
    """A running engine process. `send` and `kill` may be called from any thread, `receive` from one."""

    def __init__(self, process: SpawnProcess, pipe: Connection) -> None:
        self._process = process
        self._pipe = pipe
        self._sending = threading.Lock()

    @classmethod
    def spawned(cls, entry_point: str, settings: object) -> "EngineChild":
        """Start the function named `package.module:function` in a process of its own, as f(pipe, settings)."""
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_run_entry_point, args=(entry_point, theirs, settings), name="engine")
        process.start()
        theirs.close()  # or the pipe would not end when the child does
        return cls(process, ours)

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid

    def send(self, message: ToEngine) -> None:
        """Tell the engine; raises EngineGoneError."""
        with self._sending:
            try:
                self._pipe.send(message)
            except OSError as exc:
                raise EngineGoneError("the engine's pipe is closed") from exc

    def receive(self) -> FromEngine:
        """The engine's next message; blocks. Raises EngineGoneError when there will be none."""
        try:
            return cast("FromEngine", self._pipe.recv())
        except (EOFError, OSError) as exc:
            raise EngineGoneError("the engine's pipe has ended") from exc

    def kill(self) -> None:
        """SIGKILL: the engine hangs, or there is no more time."""
        self._process.kill()

    def ended(self, *, within_seconds: float) -> str:
        """Wait for its end, force it if need be, and say what it was: `exit code 71` or `SIGSEGV`."""
        self._process.join(within_seconds)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        with self._sending:
            self._pipe.close()
        code = self._process.exitcode or 0
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _run_entry_point(entry_point: str, pipe: Connection, settings: object) -> None:
    """The child's first function. Imports what it runs by name, so that the parent need not."""
    # A terminal's Ctrl-C goes to the whole group; only the parent decides when the engine ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, _, function = entry_point.partition(":")
    getattr(importlib.import_module(module), function)(pipe, settings)

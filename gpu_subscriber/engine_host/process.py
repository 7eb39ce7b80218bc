"""An engine process with its pipe and its termination. This side does not import torch."""

import importlib
import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

from gpu_subscriber.engine.duplex_pipe import DuplexPipe
from gpu_subscriber.engine.messages import FromEngine, ToEngine
from gpu_subscriber.engine_host.exit import EngineExit
from gpu_subscriber.engine_host.oom_kills import oom_kills
from gpu_subscriber.errors import EngineExitedError

# Not fork: gRPC's threads do not survive it, and CUDA cannot be initialised in a forked process.
_SPAWN = multiprocessing.get_context("spawn")


class EngineProcess:
    """A running engine process. `send` and `kill` are thread-safe; `receive` is for one thread."""

    def __init__(
        self,
        process: SpawnProcess,
        connection: Connection,
        *,
        count_oom_kills: Callable[[], int | None],
        oom_kills_before: int | None,
    ) -> None:
        self._process = process
        self._pipe: DuplexPipe[FromEngine, ToEngine] = DuplexPipe(connection)
        self._pipe.open()
        self._count_oom_kills = count_oom_kills
        self._oom_kills_before = oom_kills_before
        self._hung = False
        self._forced = False

    @classmethod
    def spawned(
        cls, entry_point: str, settings: object, *, count_oom_kills: Callable[[], int | None] = oom_kills
    ) -> "EngineProcess":
        """Start the function `package.module:function` in a new process, as f(pipe, settings)."""
        oom_kills_before = count_oom_kills()
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_run_entry_point, args=(entry_point, theirs, settings), name="engine")
        process.start()
        theirs.close()  # otherwise the pipe would stay open after the child's end
        return cls(process, ours, count_oom_kills=count_oom_kills, oom_kills_before=oom_kills_before)

    @property
    def pid(self) -> int | None:
        """The process id."""
        return self._process.pid

    def send(self, *messages: ToEngine) -> None:
        """Queue messages for the engine without blocking. Messages of one call share their pictures.

        Messages to a dead engine are lost: see `receive`.
        """
        self._pipe.send(*messages)

    def receive(self, *, within_seconds: float) -> FromEngine | None:
        """Return the engine's next message; None if there was none in time.

        Raises EngineExitedError if the engine has ended.
        """
        was_alive = self._process.is_alive()
        try:
            message = self._pipe.receive(within_seconds=within_seconds)
        except EOFError as error:
            raise EngineExitedError("the engine's pipe has ended") from error
        if message is None and not was_alive:
            raise EngineExitedError("the engine is dead, but another process holds its pipe open")
        return message

    def kill(self, *, hung: bool = False) -> None:
        """Send SIGKILL, because the engine is `hung` or the time is up."""
        self._hung, self._forced = self._hung or hung, self._forced or not hung
        self._process.kill()

    def ended(self, *, within_seconds: float) -> EngineExit:
        """Wait for the end of the process, kill it if needed, and return how it ended."""
        self._process.join(within_seconds)
        if self._process.is_alive():
            self.kill()
            self._process.join()
        self._pipe.close()
        after, before = self._count_oom_kills(), self._oom_kills_before
        return EngineExit(
            exit_code=self._process.exitcode or 0,
            hung=self._hung,
            forced=self._forced,
            oom_killed=after is not None and before is not None and after > before,
        )


def _run_entry_point(entry_point: str, pipe: Connection, settings: object) -> None:
    """Entry point of the child. It imports the function by name, so that the parent need not."""
    # A terminal's Ctrl-C reaches the whole process group; only the parent may end the engine.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    module, _, function = entry_point.partition(":")
    getattr(importlib.import_module(module), function)(pipe, settings)

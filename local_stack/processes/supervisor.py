"""Start, watch and stop a group of child processes."""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Self

from local_stack.errors import StartInterruptedError
from local_stack.processes.child_process import ChildProcess, ProcessSpec
from local_stack.processes.orphans import STACK_ID_VARIABLE, end_orphans
from local_stack.processes.restarting_process import RestartingProcess, RestartPolicy

_POLL_SECONDS = 0.05
_WATCH_SECONDS = 0.2


class Supervisor:
    """The processes of one stack. Leaving the context stops them, newest first."""

    def __init__(
        self, *, logs_directory: Path, stack_id: str, restart_policy: RestartPolicy | None = None
    ) -> None:
        self._logs_directory = logs_directory
        self._stack_id = stack_id
        self._restart_policy = restart_policy or RestartPolicy()
        self._processes: dict[str, ChildProcess] = {}
        self._restarting: dict[str, RestartingProcess] = {}
        self.interrupted = threading.Event()
        """An event that ends `wait_until_ready` and `watch`. A signal handler may set it."""
        self.hurry = threading.Event()
        """An event that makes `stop` kill the processes at once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(reversed(self._processes))
        end_orphans(self._stack_id)

    @property
    def processes(self) -> Mapping[str, ChildProcess]:
        return self._processes

    @property
    def restarts(self) -> Mapping[str, int]:
        """How many times `watch` has restarted each process."""
        return {name: process.restarts for name, process in self._restarting.items()}

    def start(self, *specs: ProcessSpec) -> None:
        """Start all processes at once, without waiting."""
        for spec in specs:
            process = ChildProcess(
                spec,
                logs_directory=self._logs_directory,
                stack_environment={STACK_ID_VARIABLE: self._stack_id, "PYTHONUNBUFFERED": "1"},
            )
            process.start()
            self._processes[spec.name] = process

    def wait_until_ready(self, *names: str) -> None:
        """Block until these processes (by default all) are ready.

        Raises StartInterruptedError, or ProcessFailedError for any process that fails.
        """
        started = time.monotonic()
        pending = [self._processes[name] for name in names or self._processes]
        while pending:
            for process in self._processes.values():
                process.check_running()
            reasons = {process: process.why_not_ready() for process in pending}
            pending = [process for process, reason in reasons.items() if reason is not None]
            for process in pending:
                allowed = process.spec.ready_within_seconds
                if time.monotonic() - started > allowed:
                    raise process.failure(f"was not ready after {allowed:g} s: {reasons[process]}")
            if pending and self.interrupted.wait(_POLL_SECONDS):
                raise StartInterruptedError("Interrupted before everything was ready.")

    def watch(self, notify: Callable[[str], None], *, on_check: Callable[[], None] = lambda: None) -> None:
        """Block until interrupted, and restart processes that allow it.

        Raises ProcessFailedError when a process must not be restarted (again).
        """
        while not self.interrupted.wait(_WATCH_SECONDS):
            on_check()
            for name, process in self._processes.items():
                if name not in self._restarting or self._restarting[name].process is not process:
                    self._restarting[name] = RestartingProcess(
                        process, stack_id=self._stack_id, policy=self._restart_policy
                    )
                if (notice := self._restarting[name].check()) is not None:
                    notify(notice)

    def stop(self, names: Iterable[str]) -> tuple[str, ...]:
        """Stop these processes in parallel and remove them. Return the names of the killed ones."""
        stopping = [self._processes.pop(name) for name in tuple(names) if name in self._processes]
        for process in stopping:
            process.ask_to_stop()
        started, killed = time.monotonic(), []
        for process in stopping:
            while process.is_running:
                waited = time.monotonic() - started
                if waited > process.spec.stop_within_seconds or self.hurry.is_set():
                    process.kill()
                    killed.append(process.name)
                else:
                    process.wait_stopped(_POLL_SECONDS)
        return tuple(killed)

"""One child process: its definition (ProcessSpec) and its lifecycle (ChildProcess).

The supervisor orders the starts.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from local_stack.errors import ProcessFailedError
from local_stack.loopback import no_proxy_environment
from local_stack.processes import parent_death_signal
from local_stack.processes.probes import NeverReadyError, Probe, always_ready
from local_stack.processes.process_end import ended_within
from local_stack.processes.rotating_log import RotatingLog

# Linux sends the parent-death signal when the starting *thread* ends. This thread lives as long as
# the interpreter.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="process-starter")
_POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """The command of a process and its probe. `environment` extends the supervisor's."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    why_not_ready: Probe = always_ready
    ready_within_seconds: float = 60
    stop_within_seconds: float = 10
    working_directory: Path | None = None
    restarts: bool = False
    """Whether to restart it when it exits, because no other process depends on its memory."""
    renew: "Callable[[], ProcessSpec] | None" = None
    """Creates the spec for a restart, if it differs from this one."""


class ChildProcess:
    """A process in its own session, so that Ctrl-C reaches only the supervisor."""

    def __init__(
        self, spec: ProcessSpec, *, logs_directory: Path, stack_environment: Mapping[str, str]
    ) -> None:
        self.spec = spec
        self.log_path = logs_directory / f"{spec.name}.log"
        self._log = RotatingLog(self.log_path)
        self._stack_environment = stack_environment
        self._process: subprocess.Popen[bytes] | None = None
        self._suspended = False

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int:
        """The process's id. Raises RuntimeError before the first start."""
        return self._started().pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; a negative value is the signal that ended it."""
        return self._started().poll()

    @property
    def is_running(self) -> bool:
        if self._process is None:
            return False
        if self._process.poll() is None:
            return True
        self._log.drain()  # the log is complete before the exit becomes visible
        return False

    def start(self) -> None:
        """Start it with a new log. The log of the last start is kept as `.1`."""
        self._log.begin()
        self._launch()

    def restart(self, spec: ProcessSpec | None = None) -> None:
        """Start it again after it has exited, with the same log. The caller waits for readiness.

        Raises OSError or RuntimeError when the system has no memory, process ids or threads left.
        """
        self.spec = spec or (self.spec.renew() if self.spec.renew else self.spec)
        self._launch()

    def why_not_ready(self) -> str | None:
        """Return None when it is ready, else the reason. Raises ProcessFailedError."""
        self.check_running()
        try:
            return self.spec.why_not_ready(self.pid)
        except NeverReadyError as error:
            raise self.failure(f"cannot become ready: {error}") from error

    def check_running(self) -> None:
        """Raise ProcessFailedError when it has exited."""
        if not self.is_running:
            raise self.failure(f"exited unexpectedly ({_cause(self.exit_code)})")

    def failure(self, reason: str) -> ProcessFailedError:
        self._log.drain()
        return ProcessFailedError(
            name=self.name, reason=reason, log_path=self.log_path, log_tail=log_tail(self.log_path)
        )

    def ask_to_stop(self) -> None:
        """Send SIGTERM to the process only, which ends its own children."""
        if self.is_running:
            self.resume()  # a suspended process does not handle the signal
            self._started().terminate()

    def wait_stopped(self, timeout_seconds: float) -> bool:
        """Wait for its end. Return False when it still runs after the timeout."""
        return not self.is_running or ended_within(self.pid, timeout_seconds)

    def kill(self) -> None:
        """Send SIGKILL to the whole process group."""
        process = self._started()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def send_signal(self, signal_number: int) -> None:
        """Send a signal to the process only."""
        self._started().send_signal(signal_number)

    def suspend(self) -> None:
        """Send SIGSTOP to the whole group, and return when it has stopped."""
        os.killpg(self.pid, signal.SIGSTOP)
        self._suspended = True
        if self.is_running:
            # WNOWAIT leaves an exit code for the caller that collects it.
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """Send SIGCONT to the whole group, if it is suspended."""
        if self._suspended and self.is_running:
            os.killpg(self.pid, signal.SIGCONT)
        self._suspended = False

    def wait_until_ready(self) -> None:
        """Block until it is ready. Raises ProcessFailedError on an exit or a timeout."""
        deadline = time.monotonic() + self.spec.ready_within_seconds
        while (reason := self.why_not_ready()) is not None:
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready after {self.spec.ready_within_seconds:g} s: {reason}")
            self.wait_stopped(_POLL_SECONDS)  # readiness must be polled; an exit ends the wait early

    def _launch(self) -> None:
        command = [
            sys.executable,
            "-I",
            "-S",
            parent_death_signal.__file__,
            str(os.getpid()),
            *self.spec.argv,
        ]
        log = self._log.new_pipe()
        try:
            self._process = _starter.submit(
                subprocess.Popen,
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.spec.working_directory,
                env={
                    **os.environ,
                    **no_proxy_environment(os.environ),
                    **self._stack_environment,
                    **self.spec.environment,
                },
            ).result()
        finally:
            os.close(log)
        self._suspended = False

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process


def log_tail(path: Path, lines: int = 20) -> tuple[str, ...]:
    """Return the last lines of a log, from its last 64 KiB; empty without a readable log."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 65536))
            return tuple(log.read().decode("utf-8", "replace").splitlines()[-lines:])
    except OSError:
        return ()


def _cause(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"

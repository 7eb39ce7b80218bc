"""One child process: what it is (ProcessSpec) and its life (ChildProcess). Who is started when is the supervisor's."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from local_stack import die_with_parent
from local_stack.bounded_log import BoundedLog
from local_stack.errors import ProcessFailedError
from local_stack.loopback import no_proxy_environment
from local_stack.probes import NeverReadyError, Probe, always_ready
from local_stack.process_end import ended_within

# Linux sends the parent-death signal when the starting *thread* ends. This one ends with the interpreter and no sooner.
_starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="process-starter")
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """What to run and how to tell that it works. `environment` is added to the supervisor's own."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    why_not_ready: Probe = always_ready
    ready_within_seconds: float = 60
    stop_within_seconds: float = 10
    working_directory: Path | None = None
    restarts: bool = False
    """Whether it may be started again when it ends by itself: it keeps nothing in memory that others rely on."""
    renew: "Callable[[], ProcessSpec] | None" = None
    """The spec to start it again with, where it is not this one: what it restores changes while it runs."""


class ChildProcess:
    """A running ProcessSpec, in a session of its own: Ctrl-C reaches the supervisor, who decides about the order."""

    def __init__(
        self, spec: ProcessSpec, *, logs_directory: Path, stack_environment: Mapping[str, str]
    ) -> None:
        self.spec = spec
        self.log_path = logs_directory / f"{spec.name}.log"
        self._log = BoundedLog(self.log_path)
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
        """None while it runs; negative is the signal that ended it."""
        return self._started().poll()

    @property
    def is_running(self) -> bool:
        if self._process is None:
            return False
        if self._process.poll() is None:
            return True
        self._log.drain()  # whoever learns that it has ended may read what it said last
        return False

    def start(self) -> None:
        """Start it, with a new log; the log of the last start is kept beside it as `.1`."""
        self._log.begin()
        self._launch()

    def restart(self, spec: ProcessSpec | None = None) -> None:
        """Start it again after it ended, going on in the same log. Readiness is the caller's to await."""
        self.spec = spec or (self.spec.renew() if self.spec.renew else self.spec)
        self._launch()

    def why_not_ready(self) -> str | None:
        """None when it does its work. Raises ProcessFailedError when it has ended, or will never do it."""
        self.check_running()
        try:
            return self.spec.why_not_ready(self.pid)
        except NeverReadyError as error:
            raise self.failure(f"cannot work: {error}") from error

    def check_running(self) -> None:
        """Raise ProcessFailedError when it has ended."""
        if not self.is_running:
            raise self.failure(f"ended by itself {_how(self.exit_code)}")

    def failure(self, reason: str) -> ProcessFailedError:
        self._log.drain()
        return ProcessFailedError(
            name=self.name, reason=reason, log_path=self.log_path, log_tail=log_tail(self.log_path)
        )

    def ask_to_stop(self) -> None:
        """SIGTERM to the process alone; what it started is its own to end. No effect on one that has ended."""
        if self.is_running:
            self.resume()  # a suspended process would not hear it
            self._started().terminate()

    def wait_stopped(self, timeout_seconds: float) -> bool:
        """Wait for its end. False when it still runs after the time."""
        return not self.is_running or ended_within(self.pid, timeout_seconds)

    def kill(self) -> None:
        """SIGKILL to the process and everything in its group, at once, as when a machine goes away.

        For the process without its children: `send_signal`.
        """
        process = self._started()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def send_signal(self, signal_number: int) -> None:
        """Any signal, to the process alone."""
        self._started().send_signal(signal_number)

    def suspend(self) -> None:
        """SIGSTOP to its whole group: a process that is alive and does nothing. Returns when it has stopped."""
        os.killpg(self.pid, signal.SIGSTOP)
        self._suspended = True
        if self.is_running:
            # WNOWAIT: an exit code, should it come to that, is left for the one who asks for it.
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT to its whole group, if it was suspended."""
        if self._suspended and self.is_running:
            os.killpg(self.pid, signal.SIGCONT)
        self._suspended = False

    def wait_until_ready(self) -> None:
        """Block until it is ready. Raises ProcessFailedError when it ends, or takes too long."""
        deadline = time.monotonic() + self.spec.ready_within_seconds
        while (reason := self.why_not_ready()) is not None:
            if time.monotonic() > deadline:
                raise self.failure(f"was not ready after {self.spec.ready_within_seconds:g} s: {reason}")
            self.wait_stopped(_LOOK_SECONDS)  # being ready announces itself to nobody, an end does

    def _launch(self) -> None:
        command = [sys.executable, "-I", "-S", die_with_parent.__file__, str(os.getpid()), *self.spec.argv]
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
    """The last lines of a log; nothing when there is none. Reads the file's last 64 KiB only."""
    try:
        with path.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - 65536))
            return tuple(log.read().decode("utf-8", "replace").splitlines()[-lines:])
    except FileNotFoundError:
        return ()


def _how(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"by {signal.Signals(-exit_code).name}"
    return f"with exit code {exit_code}"

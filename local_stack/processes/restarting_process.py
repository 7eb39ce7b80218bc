"""Restarts of one process after its initial start, with backoff and a limit."""

import time
from dataclasses import dataclass

from common.backoff import Backoff
from local_stack.errors import ProcessFailedError
from local_stack.processes.child_process import ChildProcess
from local_stack.processes.orphans import end_orphans


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartPolicy:
    first_backoff_seconds: float = 0.5
    """Doubles with each exit."""
    max_backoff_seconds: float = 15
    reset_after_seconds: float = 60
    """The backoff is reset after the process was ready for this long."""
    max_failed_starts: int = 5
    """The number of exits in a row before readiness after which the stack stops.

    A process that cannot be started, or runs and is not ready in time, is restarted any number of
    times: it may need something that a restart of the stack would not bring, such as memory or space
    on the disk.
    """


class RestartingProcess:
    """Restarts a process, which must be ready at construction. Never blocks during the backoff."""

    def __init__(self, process: ChildProcess, *, stack_id: str, policy: RestartPolicy) -> None:
        self.process = process
        self.restarts = 0
        """The number of restarts."""
        self._stack_id = stack_id
        self._policy = policy
        self._backoff = Backoff(
            first_seconds=policy.first_backoff_seconds, max_seconds=policy.max_backoff_seconds
        )
        self._started_at = self._ready_since = time.monotonic()
        self._is_ready = True
        self._due_at: float | None = None
        self._failed_starts = 0

    def check(self) -> str | None:
        """Restart the process when due. Return a notice on a change. Raises ProcessFailedError."""
        if self._due_at is not None:
            return self._start_again() if time.monotonic() >= self._due_at else None
        try:
            if not self._is_ready:
                return self._check_ready()
            self.process.check_running()
        except ProcessFailedError as failure:
            return self._handle_failure(failure)
        return None

    def _start_again(self) -> str | None:
        try:
            self.process.restart()
        except (OSError, RuntimeError) as error:  # no memory, process ids or threads are left
            return self._schedule(self.process.failure(f"could not be started ({error})"))
        self.restarts += 1
        self._due_at, self._is_ready, self._started_at = None, False, time.monotonic()
        return None

    def _check_ready(self) -> str | None:
        reason, took = self.process.why_not_ready(), time.monotonic() - self._started_at
        allowed = self.process.spec.ready_within_seconds
        if reason is not None and took > allowed:
            self._end()
            return self._schedule(self.process.failure(f"was not ready after {allowed:g} s: {reason}"))
        if reason is not None:
            return None
        self._is_ready, self._failed_starts, self._ready_since = True, 0, time.monotonic()
        return f"{self.process.name} is ready again after {took:.1f} s."

    def _handle_failure(self, failure: ProcessFailedError) -> str:
        if not self.process.spec.restarts:
            raise failure
        self._end()
        if not self._is_ready:
            self._failed_starts += 1
            if self._failed_starts == self._policy.max_failed_starts:
                raise failure
        elif time.monotonic() - self._ready_since >= self._policy.reset_after_seconds:
            self._backoff.reset()
        return self._schedule(failure)

    def _end(self) -> None:
        self.process.kill()  # it may run without being ready
        # Children of the ended process may still hold its port or its memory.
        end_orphans(self._stack_id, session_id=self.process.pid)

    def _schedule(self, failure: ProcessFailedError) -> str:
        pause = self._backoff.next_pause()
        self._due_at = time.monotonic() + pause
        return f"{failure.summary} It restarts in {pause:g} s; its log is {failure.log_path}."

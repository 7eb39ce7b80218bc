"""How an engine process ended, and the failure of the task that caused it.

    cause               observed as                                         failure code
    killed              a signal that this process did not send             engine_crashed
    broken              an error outside of any one run                     engine_crashed
    out_of_memory       SIGKILL, and the kernel counts another OOM kill     engine_out_of_memory
    device_lost         its exit code: the device's context is corrupt      device_lost
    hung                killed by the worker after too long a silence       engine_hung

No task causes the others (stopped, forced, parent_gone).
"""

import signal
from dataclasses import dataclass
from enum import StrEnum

from common.domain.task import Failure
from gpu_subscriber.engine import exit_codes


class EngineExitCause(StrEnum):
    """Why an engine process has ended."""

    STOPPED = "stopped"
    FORCED = "forced"
    """The worker killed it for an external reason: a shutdown, or an unanswered interrupt."""
    PARENT_GONE = "parent_gone"
    HUNG = "hung"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    DEVICE_LOST = "device_lost"
    BROKEN = "broken"


_CAUSE_OF_CODE = {
    exit_codes.STOPPED: EngineExitCause.STOPPED,
    exit_codes.PARENT_GONE: EngineExitCause.PARENT_GONE,
    exit_codes.DEVICE_LOST: EngineExitCause.DEVICE_LOST,
}
ENGINE_CRASHED = "engine_crashed"
_FAILURE_CODES = {
    EngineExitCause.HUNG: "engine_hung",
    EngineExitCause.OUT_OF_MEMORY: "engine_out_of_memory",
    EngineExitCause.DEVICE_LOST: "device_lost",
}
ENGINE_FAILURE_CODES = frozenset({ENGINE_CRASHED, *_FAILURE_CODES.values()})
"""Codes of a task that was alone in an engine process when it ended."""
_MESSAGES = {
    EngineExitCause.HUNG: "The drawing process stood still while it drew this task, and was ended.",
    EngineExitCause.OUT_OF_MEMORY: "The system ended the drawing process while it drew this task: too little memory.",
    EngineExitCause.DEVICE_LOST: "The drawing process lost its device while it drew this task.",
    EngineExitCause.BROKEN: "The drawing process failed while it drew this task.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineExit:
    """The end of a process. A negative `exit_code` is a signal's number, as in multiprocessing."""

    exit_code: int
    hung: bool = False
    """The worker killed it because it was silent."""
    forced: bool = False
    """The worker killed it for another reason."""
    oom_killed: bool = False
    """The kernel's OOM kill count of this cgroup has grown since the process began."""

    @property
    def name(self) -> str:
        """The signal's name, or `exit code 70`."""
        return signal.Signals(-self.exit_code).name if self.exit_code < 0 else f"exit code {self.exit_code}"

    @property
    def cause(self) -> EngineExitCause:
        """Why it ended."""
        if self.exit_code >= 0:
            return _CAUSE_OF_CODE.get(self.exit_code, EngineExitCause.BROKEN)
        if self.exit_code == -signal.SIGKILL and self.hung:
            return EngineExitCause.HUNG
        if self.exit_code == -signal.SIGKILL and self.forced:
            return EngineExitCause.FORCED
        if self.exit_code == -signal.SIGKILL and self.oom_killed:
            return EngineExitCause.OUT_OF_MEMORY
        return EngineExitCause.KILLED

    @property
    def failure(self) -> Failure:
        """The failure of the task that was alone in it."""
        cause = self.cause
        message = _MESSAGES.get(cause, f"The drawing process ended ({self.name}) while it drew this task.")
        return Failure(code=_FAILURE_CODES.get(cause, ENGINE_CRASHED), message=message, retryable=True)

"""How an engine process ended, and the failure of the task that caused it.

    cause               observed as                                         failure code
    killed              a signal that this process did not send             engine_crashed
    broken              an error outside of any one run                     engine_crashed
    out_of_memory       SIGKILL, and the kernel counts another OOM kill     engine_out_of_memory
    device_lost         its exit code: the device's context is corrupt      device_lost
    hung                killed by the worker after too long a silence       engine_hung

No task causes the others (stopped, forced, parent_gone, gpu_unusable).
"""

import signal
from dataclasses import dataclass
from enum import StrEnum

from common.domain.failures import FailureCode
from common.domain.task import Failure
from gpu_subscriber.engine import exit_codes


class EngineExitCause(StrEnum):
    """Why an engine process has ended."""

    STOPPED = "stopped"
    FORCED = "forced"
    """The worker killed it for an external reason: a shutdown, or an unanswered interrupt."""
    PARENT_EXITED = "parent_gone"
    HUNG = "hung"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    DEVICE_LOST = "device_lost"
    GPU_UNUSABLE = "gpu_unusable"
    BROKEN = "broken"


_CAUSE_OF_CODE = {
    exit_codes.STOPPED: EngineExitCause.STOPPED,
    exit_codes.PARENT_EXITED: EngineExitCause.PARENT_EXITED,
    exit_codes.DEVICE_LOST: EngineExitCause.DEVICE_LOST,
    exit_codes.GPU_UNUSABLE: EngineExitCause.GPU_UNUSABLE,
}
_FAILURE_CODES = {
    EngineExitCause.HUNG: FailureCode.ENGINE_HUNG,
    EngineExitCause.OUT_OF_MEMORY: FailureCode.ENGINE_OUT_OF_MEMORY,
    EngineExitCause.DEVICE_LOST: FailureCode.DEVICE_LOST,
}
ENGINE_FAILURE_CODES = frozenset({FailureCode.ENGINE_CRASHED, *_FAILURE_CODES.values()})
"""Codes of a task that was alone in an engine process when it ended."""


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
        code = _FAILURE_CODES.get(self.cause, FailureCode.ENGINE_CRASHED)
        return code.failure(self.name if code is FailureCode.ENGINE_CRASHED else "")

"""Start a stack in the background (`up --detach`) and stop the running one (`down`)."""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from local_stack.data_directory import DataDirectory, StackState
from local_stack.errors import LocalStackError, ProcessFailedError, StackAlreadyRunningError
from local_stack.processes.child_process import log_tail
from local_stack.processes.orphans import end_leftovers
from local_stack.processes.process_end import ended_within

_PROJECT = Path(__file__).resolve().parents[1]
_STOP_SECONDS = 90
"""Slightly longer than the sum of all stop timeouts."""


def start_detached(data: DataDirectory, arguments: Sequence[str]) -> StackState:
    """Run `python -m local_stack up ARGUMENTS` in the background; return when it is ready.

    Raises StackAlreadyRunningError, DataDirectoryUnusableError, or ProcessFailedError with the end
    of the supervisor's log.
    """
    if data.is_in_use():
        raise StackAlreadyRunningError(data.occupied_by())
    data.make_logs()
    log_path = data.logs / "supervisor.log"
    ready, says_ready = os.pipe()
    with log_path.open("wb") as log, os.fdopen(ready, "rb") as readiness:
        try:
            supervisor = subprocess.Popen(
                [
                    *(sys.executable, "-m", "local_stack", "up", "--data-dir", str(data.path)),
                    *("--ready-fd", str(says_ready), *arguments),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(says_ready,),
                cwd=_PROJECT,
            )
        finally:
            # The supervisor now holds the only writing end, so that reading ends with it.
            os.close(says_ready)
        try:
            is_ready = bool(readiness.read(1))
        except KeyboardInterrupt:
            supervisor.terminate()
            supervisor.wait()
            raise
    state = data.state()
    if is_ready and state is not None:
        return state
    supervisor.wait()
    raise ProcessFailedError(
        name="the stack", reason="did not start", log_path=log_path, log_tail=log_tail(log_path, 40)
    )


def stop_running(data: DataDirectory) -> bool:
    """Stop the running supervisor and wait until it has ended. Return False when there was none.
    Leftover processes of a crash are ended too.

    Raises LocalStackError when it does not end.
    """
    state = data.state()
    if not data.is_in_use():
        if state is not None:
            end_leftovers(state.stack_id)
            data.clear_state()
        return False
    if state is None:
        raise LocalStackError(
            f"A stack runs on {data.path}, but its state.json does not say in which process."
        )
    with suppress(psutil.NoSuchProcess):  # it may be ending at this moment
        psutil.Process(state.supervisor_pid).terminate()
    if not ended_within(state.supervisor_pid, _STOP_SECONDS):
        raise LocalStackError(
            f"Process {state.supervisor_pid} did not end within {_STOP_SECONDS} s; its logs are in {data.logs}."
        )
    return True

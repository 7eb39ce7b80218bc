"""Start a stack in the background (`up --detach`) and stop the running one (`down`)."""

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

import psutil

from local_stack.data_directory import DataDirectory, StackState
from local_stack.errors import LocalStackError, ProcessFailedError, StackAlreadyRunningError
from local_stack.processes.child_process import log_tail
from local_stack.processes.orphans import end_orphans
from local_stack.processes.process_end import ended_within

_STOP_SECONDS = 90
"""Longer than the sum of all stop timeouts."""


def start_detached(data: DataDirectory, arguments: Sequence[str]) -> StackState:
    """Run `python -m local_stack ARGUMENTS` in the background; return when it is ready."""
    if data.is_in_use():
        raise StackAlreadyRunningError(data.already_running_message())
    data.make_logs()
    log_path = data.logs / "supervisor.log"
    readable_fd, ready_fd = os.pipe()
    with log_path.open("wb") as log, os.fdopen(readable_fd, "rb") as readiness:
        try:
            supervisor = subprocess.Popen(
                [sys.executable, "-m", "local_stack", *arguments, "--ready-fd", str(ready_fd)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=(ready_fd,),
            )
        finally:
            # Now only the supervisor has the writing end, so reading ends when it exits.
            os.close(ready_fd)
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
    """Stop the running supervisor and the orphans of a crash. Return False when none ran."""
    state = data.state()
    if not data.is_in_use():
        if state is not None:
            end_orphans(state.stack_id)
            data.clear_state()
        return False
    if state is None:
        raise LocalStackError(
            f"A stack is running on {data.path}, but its state.json does not contain the process id."
        )
    with suppress(psutil.NoSuchProcess):  # it has just exited
        psutil.Process(state.supervisor_pid).terminate()
    if not ended_within(state.supervisor_pid, _STOP_SECONDS):
        raise LocalStackError(
            f"Process {state.supervisor_pid} did not stop within {_STOP_SECONDS} s. The logs are in {data.logs}."
        )
    return True

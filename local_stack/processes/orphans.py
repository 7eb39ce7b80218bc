"""Processes that outlived their stack: found by a marker in their environment, ended by pid.

Every process of a stack inherits an environment variable with the stack's random id, and so do its
children. The marker is unambiguous, unlike a stored pid or a program's name.
"""

import os
from contextlib import suppress

import psutil

STACK_ID_VARIABLE = "DARKROOM_STACK_ID"


def orphans_of(stack_id: str, *, session_id: int | None = None) -> list[psutil.Process]:
    """Return the other processes with this marker, optionally of one session only."""
    others = (process for process in psutil.process_iter() if process.pid != os.getpid())
    return [
        process
        for process in others
        if (session_id is None or _is_in(process, session_id)) and _is_marked(process, stack_id)
    ]


def end_orphans(stack_id: str, *, session_id: int | None = None, grace_seconds: float = 3) -> int:
    """End the processes of `orphans_of`: SIGTERM, then SIGKILL. Return their number."""
    found = orphans_of(stack_id, session_id=session_id)
    for process in found:
        with suppress(psutil.Error):
            process.terminate()
    _, running = psutil.wait_procs(found, timeout=grace_seconds)
    for process in running:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(running, timeout=grace_seconds)
    return len(found)


def _is_in(process: psutil.Process, session_id: int) -> bool:
    try:
        return os.getsid(process.pid) == session_id
    except OSError:  # it has ended meanwhile
        return False


def _is_marked(process: psutil.Process, stack_id: str) -> bool:
    try:
        return process.environ().get(STACK_ID_VARIABLE) == stack_id
    except (psutil.Error, OSError):  # it has ended meanwhile, or belongs to another user
        return False

"""Processes that outlived the stack that started them: found by the mark in their environment, ended by pid.

Every process of a stack, and whatever it starts in turn, inherits an environment variable with the stack's random id.
That names them with certainty, where a pid from a file or a program's name would not.
"""

import os
from contextlib import suppress

import psutil

STACK_ID_VARIABLE = "DARKROOM_STACK_ID"


def leftovers_of(stack_id: str, *, session_id: int | None = None) -> list[psutil.Process]:
    """The living processes marked with this id, without the calling one; if a session is given, those in it."""
    others = (process for process in psutil.process_iter() if process.pid != os.getpid())
    return [
        process
        for process in others
        if (session_id is None or _is_in(process, session_id)) and _is_marked(process, stack_id)
    ]


def end_leftovers(stack_id: str, *, session_id: int | None = None, grace_seconds: float = 3) -> int:
    """SIGTERM, a short grace, SIGKILL to all that `leftovers_of` finds. Returns how many there were."""
    found = leftovers_of(stack_id, session_id=session_id)
    for process in found:
        with suppress(psutil.Error):
            process.terminate()
    _, stubborn = psutil.wait_procs(found, timeout=grace_seconds)
    for process in stubborn:
        with suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(stubborn, timeout=grace_seconds)
    return len(found)


def _is_in(process: psutil.Process, session_id: int) -> bool:
    try:
        return os.getsid(process.pid) == session_id
    except OSError:  # ended meanwhile
        return False


def _is_marked(process: psutil.Process, stack_id: str) -> bool:
    try:
        return process.environ().get(STACK_ID_VARIABLE) == stack_id
    except (psutil.Error, OSError):  # ended meanwhile, or somebody else's
        return False

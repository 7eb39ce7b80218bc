"""Awaiting the end of any process, also of one that somebody else started. Linux tells by a file descriptor."""

import os
import select


def ended_within(pid: int, seconds: float) -> bool:
    """Block until the process has ended, for at most so long; whether it has.

    One that has ended and waits for its parent to collect it counts as ended, and its exit code stays the parent's.
    """
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        poller = select.poll()
        poller.register(process, select.POLLIN)
        return bool(poller.poll(seconds * 1_000))
    finally:
        os.close(process)

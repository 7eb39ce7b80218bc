"""Wait for the end of any process, including those of other parents. On Linux with a pidfd."""

import os
import select


def ended_within(pid: int, seconds: float) -> bool:
    """Block until the process has ended or the timeout. Return whether it has ended.

    A zombie counts as ended, and its exit code stays available to its parent.
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

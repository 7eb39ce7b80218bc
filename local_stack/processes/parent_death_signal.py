"""Run a program that cannot outlive the process that started it:

    python parent_death_signal.py PARENT_PID PROGRAM ARGUMENT...

The program replaces this one (exec), so its pid, signals and exit code are its own. On Linux the
kernel sends it SIGKILL when the thread that started it ends (prctl PR_SET_PDEATHSIG survives exec),
also when the supervisor is killed with SIGKILL. On other systems this only runs the program, and
the next start of the stack ends the orphans.

This is a script because a `preexec_fn` may deadlock in a process with threads. It imports nothing
of the project, so it costs only milliseconds.
"""

import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main(arguments: list[str]) -> None:
    parent_pid, *command = arguments
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - only Linux pays for loading it

        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != int(parent_pid):  # the parent ended before prctl took effect
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - replacing this process is the point
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])

"""Run a program that cannot outlive the process that started it:

    python die_with_parent.py PARENT_PID PROGRAM ARGUMENT...

The program replaces this one, so its pid, signals and exit code are its own. On Linux the kernel is asked to send it
SIGKILL when the thread that started it ends (prctl PR_SET_PDEATHSIG survives exec), which covers a supervisor that is
itself killed with SIGKILL. This is a script and not a `preexec_fn`, which may deadlock in a process that has threads;
it imports nothing of the project, so it costs milliseconds. Elsewhere it only runs the program, and the next start of
the stack ends what a crash left behind.
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
    if os.getppid() != int(parent_pid):  # it died before the kernel knew of our wish
        sys.exit(1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - replacing this process is the point
    except OSError as error:
        sys.exit(f"cannot run {command[0]}: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])

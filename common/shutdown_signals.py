"""Shutdown signals: SIGTERM and SIGINT, heard at once whichever thread the system hands them to."""

import signal
import socket
import threading
from collections.abc import Callable


def on_shutdown_signals(act: Callable[[], None]) -> None:
    """Call `act` on a thread of its own for each SIGTERM and SIGINT from now on. Call this on the main thread.

    Python runs a signal's handler on the main thread, and that may sleep on: the system may hand the signal to any
    other thread, and then nothing wakes the main one. What Python's own part of the handler writes to the wakeup
    descriptor is written by whichever thread it is.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # or it would end the process
    signal.set_wakeup_fd(theirs.fileno())

    def listen() -> None:
        with ours, theirs:
            while ours.recv(1):
                act()

    threading.Thread(target=listen, name="shutdown-signals", daemon=True).start()

"""Immediate handling of SIGTERM and SIGINT, on any thread."""

import signal
import socket
import threading
from collections.abc import Callable


def on_shutdown_signals(act: Callable[[], None]) -> None:
    """Call `act` on a separate thread for each SIGTERM and SIGINT. Call this on the main thread.

    Python runs signal handlers on the main thread, which may be blocked: the system may deliver a
    signal to any thread, and that does not wake the main one. The wakeup descriptor, in contrast,
    is written by the thread that receives the signal.
    """
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # replaces the default action, which ends the process
    signal.set_wakeup_fd(theirs.fileno())

    def listen() -> None:
        with ours, theirs:
            while ours.recv(1):
                act()

    threading.Thread(target=listen, name="shutdown-signals", daemon=True).start()

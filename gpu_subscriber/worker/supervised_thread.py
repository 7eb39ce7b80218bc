"""A thread that the worker requires. Its end is detected, whatever the cause."""

import contextvars
import threading
from collections.abc import Callable


class SupervisedThread:
    """Runs `body` once, and calls `on_end` with its name when it returns or raises."""

    def __init__(self, name: str, body: Callable[[], None], *, on_end: Callable[[str], None]) -> None:
        self.name = name
        self._body = body
        # The fields of every log line are in context variables, which a new thread does not
        # inherit.
        self._context = contextvars.copy_context()
        self._on_end = on_end
        # A daemon, so that it does not keep the process alive if the worker's main thread dies.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for its end; return whether it ended in time."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._context.run(self._body)
        finally:
            self._on_end(self.name)

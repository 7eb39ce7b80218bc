"""SideThread: a thread the worker cannot live without. Its death is noticed, whatever it died of."""

import contextvars
import threading
from collections.abc import Callable


class SideThread:
    """Runs `body` once; calls `on_end` with its name when that is over, by return or by exception."""

    def __init__(self, name: str, body: Callable[[], None], *, on_end: Callable[[str], None]) -> None:
        self.name = name
        self._body = body
        # The fields every log line carries live in context variables, which a new thread does not inherit.
        self._context = contextvars.copy_context()
        self._on_end = on_end
        # A daemon: should the worker's main thread die, nothing may keep a half-dead process alive.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, timeout_seconds: float) -> bool:
        """Wait for its end; whether it came."""
        self._thread.join(timeout_seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._context.run(self._body)
        finally:
            self._on_end(self.name)

"""Time limits of an attempt: one budget for waiting in the worker, one for generating.

An attempt waits until the engine starts its first run, and again when the engine dies and it starts
over. Waiting costs no attempt. It is limited because the delivery's lease is. So is generating beside
other tasks, which costs no attempt if they delayed this one and it kept an image or a checkpoint.
"""


class AttemptClock:
    """Starts in the waiting state. Times are seconds of any monotonic clock."""

    def __init__(self, *, now: float, waiting_seconds: float, generating_seconds: float) -> None:
        self._waiting_left = waiting_seconds
        self._generating_left = generating_seconds
        self._since = now
        self.is_generating = False

    @property
    def deadline(self) -> float:
        """When the current budget is used up."""
        return self._since + (self._generating_left if self.is_generating else self._waiting_left)

    def generate(self, now: float) -> None:
        """Switch to generating: the engine has started a run."""
        if not self.is_generating:
            self._waiting_left -= now - self._since
            self._since, self.is_generating = now, True

    def wait(self, now: float) -> None:
        """Switch to waiting: the engine lost all runs of this attempt."""
        if self.is_generating:
            self._generating_left -= now - self._since
            self._since, self.is_generating = now, False

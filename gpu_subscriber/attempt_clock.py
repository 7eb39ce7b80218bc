"""AttemptClock: how long an attempt may still take. Two budgets: waiting inside the worker, and generating.

An attempt waits until the engine starts its first Run, and again when the engine dies and it starts over. Waiting is
nobody's fault and costs no attempt; it is bounded all the same, because the delivery's lease is.
"""


class AttemptClock:
    """Begins to wait when created. Times are seconds of any monotonic clock."""

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
        """The engine has started a Run."""
        if not self.is_generating:
            self._waiting_left -= now - self._since
            self._since, self.is_generating = now, True

    def wait(self, now: float) -> None:
        """The engine has no Run of this attempt any more: it waits for another start."""
        if self.is_generating:
            self._generating_left -= now - self._since
            self._since, self.is_generating = now, False

"""Backoff: growing pauses between attempts, by tenacity's wait strategies. It computes; the caller waits."""

import tenacity


class Backoff:
    """The pause doubles with each failure, from `first_seconds` up to `max_seconds`.

    With `jitter`, each pause is drawn at random between 0 and that value, so that writers that
    compete for one document or restart together do not meet again.
    """

    def __init__(self, *, first_seconds: float, max_seconds: float, jitter: bool = False) -> None:
        strategy = tenacity.wait_random_exponential if jitter else tenacity.wait_exponential
        self._pause_after = strategy(multiplier=first_seconds, max=max_seconds)
        self._state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
        self.reset()

    @property
    def failures(self) -> int:
        """The number of failures since the last `reset`."""
        return self._state.attempt_number - 1

    def next_pause(self) -> float:
        """Record a failure and return how long to wait before the next attempt, in seconds."""
        pause = self._pause_after(self._state)
        self._state.attempt_number += 1
        return pause

    def reset(self) -> None:
        """Start again with the first pause, after a success."""
        self._state.attempt_number = 1

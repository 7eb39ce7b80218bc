"""The time that a run may take."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Budget:
    """Counts from its creation."""

    seconds: float
    clock: Callable[[], float] = time.monotonic
    _began: float = field(init=False)

    def __post_init__(self) -> None:
        self._began = self.clock()

    @property
    def left(self) -> float:
        """The seconds that are left; at least 0."""
        return max(0.0, self._began + self.seconds - self.clock())

    def fits(self, seconds: float) -> bool:
        """Return whether work of this length ends in time."""
        return seconds < self.left

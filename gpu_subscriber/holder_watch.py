"""HolderWatch: how long a delivery is held when another worker's claim is still alive."""

import threading


class HolderWatch:
    """Pub/Sub delivers a claimed task again when nobody extended its lease: mostly its holder is dead.

    A claim that is not renewed while this watch lasts shows it, long before the claim expires. Renewals are watched
    for, not clocks compared: no two workers' clocks need agree.
    """

    def __init__(self, *, seconds: float, hurry: threading.Event) -> None:
        self._seconds = seconds
        self._hurry = hurry

    def outwaited(self) -> bool:
        """Wait; False as soon as this worker must leave."""
        return not self._hurry.wait(self._seconds)

"""Retries of conditional writes that conflicted with another writer."""

import random
import time

from common.domain.errors import DependencyUnavailableError


def back_off(conflicts: int) -> None:
    """Pause before the next attempt; longer after each conflict, at most 0.25 s."""
    time.sleep(random.uniform(0, min(0.25, 0.005 * 2**conflicts)))  # noqa: S311 (jitter, not secrecy)


def starved(conflicts: int) -> DependencyUnavailableError:
    """Return the error for a writer that lost too many conflicts in a row."""
    return DependencyUnavailableError("firestore", f"refused {conflicts} conflicting writes in a row")

"""What a writer does when a document is no longer the one that its write was made from: give way, and try again."""

import random
import time

from common.domain.errors import DependencyUnavailableError


def give_way(conflicts: int) -> None:
    """Pause before the next try, longer after each of so many conflicts; at most a quarter of a second."""
    time.sleep(random.uniform(0, min(0.25, 0.005 * 2**conflicts)))  # noqa: S311 (jitter, not secrecy)


def starved(conflicts: int) -> DependencyUnavailableError:
    """The error of a writer who lost so often in a row that it must stop trying."""
    return DependencyUnavailableError("firestore", f"refused {conflicts} conflicting writes in a row")

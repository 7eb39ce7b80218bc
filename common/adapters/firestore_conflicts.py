"""Retries of conditional writes that conflicted with another writer."""

import time
from collections.abc import Iterator

from common.backoff import Backoff
from common.domain.errors import ContendedError


def attempts(max_conflicts: int) -> Iterator[None]:
    """Yield once per attempt, with short random pauses in between.

    Raises ContendedError when the writer lost `max_conflicts` times in a row.
    """
    yield  # almost every write succeeds here, without the cost of a backoff
    backoff = Backoff(first_seconds=0.005, max_seconds=0.25, jitter=True)
    for _ in range(max_conflicts - 1):
        time.sleep(backoff.next_pause())
        yield
    raise ContendedError("firestore", f"refused {max_conflicts} conflicting writes in a row")

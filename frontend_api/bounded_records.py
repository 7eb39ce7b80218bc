"""Add a record to a store that may hold a limited number of its kind."""

from collections.abc import Callable


def add_within(
    limit: int,
    *,
    count: Callable[[], int],
    add: Callable[[], None],
    remove: Callable[[], None],
    error: Exception,
) -> None:
    """Add a record, or raise `error` where `limit` records exist.

    Counts again after the record was added, and then removes it: concurrent calls may all have
    found room for one more.
    """
    if count() >= limit:
        raise error
    add()
    try:
        if count() > limit:
            raise error
    except Exception:
        remove()
        raise

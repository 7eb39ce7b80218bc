"""Keeps writes apart from the addition of targets, because the emulator may lose a document in between.

A document that is written while the emulator adds a target of a Listen stream is sometimes in neither the
target's first documents nor its later changes, although the stream reports CURRENT. The page or program
would then miss that document until its next change.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_LONGEST_WAIT_SECONDS = 1.0
"""A lost document is better than a write that waits for a stream that never becomes current."""


class TargetGate:
    """Either writes or additions of targets are in progress; an addition goes first. Belongs to one event loop."""

    def __init__(self) -> None:
        self._writes = 0
        self._additions = 0
        self._has_no_writes = asyncio.Event()
        self._has_no_writes.set()
        self._has_no_additions = asyncio.Event()
        self._has_no_additions.set()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[None]:
        """Wait for the additions in progress, at most a second, and keep others waiting meanwhile."""
        await _wait_for(self._has_no_additions)
        self._writes += 1
        self._has_no_writes.clear()
        try:
            yield
        finally:
            self._writes -= 1
            if not self._writes:
                self._has_no_writes.set()

    async def begin_addition(self) -> None:
        """Make later writes wait, and wait for those in progress, at most a second."""
        self._additions += 1
        self._has_no_additions.clear()
        await _wait_for(self._has_no_writes)

    def end_addition(self) -> None:
        """Let writes go on. Once for each `begin_addition`."""
        self._additions -= 1
        if not self._additions:
            self._has_no_additions.set()


async def _wait_for(event: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), _LONGEST_WAIT_SECONDS)

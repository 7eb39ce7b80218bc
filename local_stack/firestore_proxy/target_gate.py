"""Separate writes from additions of targets, because the emulator may lose documents otherwise.

A document that is written while the emulator adds a target of a Listen stream is sometimes in
neither the target's first documents nor its later changes, although the stream reports CURRENT. The
page or program would then miss that document until its next change.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress

_LONGEST_WAIT_SECONDS = 1.0
"""A lost document is better than a stream that waits for a slow write."""
_LONGEST_ADDITION_SECONDS = 2.0
"""A lost document is better than a write that waits for a stream that never becomes current."""


class TargetGate:
    """Writes wait for earlier additions, additions for earlier writes. For one event loop."""

    def __init__(self) -> None:
        self._writes: set[asyncio.Event] = set()
        self._additions: set[Addition] = set()

    @asynccontextmanager
    async def write(self) -> AsyncIterator[None]:
        """Wait for the additions in progress, and make later ones wait for this write."""
        additions, is_made = tuple(self._additions), asyncio.Event()
        self._writes.add(is_made)
        try:
            await _all_set(addition.is_over for addition in additions)
            yield
        finally:
            self._writes.discard(is_made)
            is_made.set()

    def begin_addition(self) -> "Addition":
        """Make later writes wait. The addition ends by its `end`, or by itself after a while."""
        addition = Addition(tuple(self._writes), self._additions.discard)
        self._additions.add(addition)
        return addition


class Addition:
    """An addition in progress. A timer ends it if its owner does not."""

    def __init__(self, writes: Iterable[asyncio.Event], on_end: Callable[["Addition"], None]) -> None:
        self.is_over = asyncio.Event()
        self._writes = writes
        self._on_end = on_end
        self._timer = self._started_timer(_LONGEST_WAIT_SECONDS + _LONGEST_ADDITION_SECONDS)

    async def wait_for_writes(self) -> None:
        """Wait for the writes before this addition, at most a second."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_WAIT_SECONDS):
                await _all_set(self._writes)
        if not self.is_over.is_set():
            self._timer.cancel()
            self._timer = self._started_timer(_LONGEST_ADDITION_SECONDS)

    def end(self) -> None:
        """Let the writes go on that wait for it. Has no effect after the first call."""
        self._timer.cancel()
        self.is_over.set()
        self._on_end(self)

    def _started_timer(self, seconds: float) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, self.end)


async def _all_set(events: Iterable[asyncio.Event]) -> None:
    for event in events:
        await event.wait()

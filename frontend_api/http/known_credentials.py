"""KnownCredentials: whose the credentials are that were accepted lately."""

import hashlib
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress

from frontend_api.identity.emulator_tokens import shown_credentials
from frontend_api.identity.ports import NotAuthenticatedError

_MAX_CALLERS = 10_000
_PER_CALLER = 16
"""One token has many spellings that are accepted: further ones evict those of the same caller."""


_KNOWN_SECONDS = 60.0
"""A route that checks no credentials does not notice that they are revoked or have expired."""


class KnownCredentials:
    """The callers of credentials that were accepted within the last minute, by their digest. Thread-safe."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._callers: dict[bytes, str] = {}
        self._accepted_at: dict[bytes, float] = {}
        self._digests: OrderedDict[str, deque[bytes]] = OrderedDict()
        """Those of each caller, the oldest first. The callers are in the order of their latest requests."""

    def add(self, headers: Mapping[str, str], caller: str) -> None:
        """Record whose credentials these headers contain. They were accepted."""
        digest = _digest_of(headers)
        with self._lock:
            if (former := self._callers.get(digest)) != caller:
                if former is not None:
                    self._digests[former].remove(digest)
                self._callers[digest] = caller
                own = self._digests.setdefault(caller, deque())
                own.append(digest)
                if len(own) > _PER_CALLER:
                    self._forget(own.popleft())
            self._accepted_at[digest] = self._now()
            self._digests.move_to_end(caller)
            if len(self._digests) > _MAX_CALLERS:
                _, evicted = self._digests.popitem(last=False)
                for each in evicted:
                    self._forget(each)

    def remove(self, headers: Mapping[str, str]) -> None:
        """Remove the credentials of these headers, which were refused."""
        with suppress(NotAuthenticatedError), self._lock:
            digest = _digest_of(headers)
            if (caller := self._callers.get(digest)) is not None:
                self._digests[caller].remove(digest)
                self._forget(digest)

    def caller_with(self, headers: Mapping[str, str]) -> str | None:
        """Return whose credentials these headers contain, or None if they were not accepted lately."""
        try:
            digest = _digest_of(headers)
        except NotAuthenticatedError:
            return None
        with self._lock:
            accepted_at = self._accepted_at.get(digest, -math.inf)
            return self._callers[digest] if self._now() - accepted_at < _KNOWN_SECONDS else None

    def _forget(self, digest: bytes) -> None:
        del self._callers[digest], self._accepted_at[digest]


def _digest_of(headers: Mapping[str, str]) -> bytes:
    return hashlib.sha256((shown_credentials(headers) or "").encode()).digest()

"""KnownCredentials: whose the credentials are that were accepted before."""

import hashlib
import threading
from collections import OrderedDict, deque
from collections.abc import Mapping
from contextlib import suppress

from frontend_api.identity.emulator_tokens import shown_credentials
from frontend_api.identity.ports import NotAuthenticatedError

_MAX_CALLERS = 10_000
_PER_CALLER = 16
"""One token has many spellings that are accepted: further ones evict those of the same caller."""


class KnownCredentials:
    """The callers of accepted credentials, by their digest. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._callers: dict[bytes, str] = {}
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
                    del self._callers[own.popleft()]
            self._digests.move_to_end(caller)
            if len(self._digests) > _MAX_CALLERS:
                _, evicted = self._digests.popitem(last=False)
                for each in evicted:
                    del self._callers[each]

    def remove(self, headers: Mapping[str, str]) -> None:
        """Remove the credentials of these headers, which were refused."""
        with suppress(NotAuthenticatedError), self._lock:
            digest = _digest_of(headers)
            if (caller := self._callers.pop(digest, None)) is not None:
                self._digests[caller].remove(digest)

    def caller_with(self, headers: Mapping[str, str]) -> str | None:
        """Return whose credentials these headers contain, or None if they were not accepted before."""
        try:
            digest = _digest_of(headers)
        except NotAuthenticatedError:
            return None
        with self._lock:
            return self._callers.get(digest)


def _digest_of(headers: Mapping[str, str]) -> bytes:
    return hashlib.sha256((shown_credentials(headers) or "").encode()).digest()

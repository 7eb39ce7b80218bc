"""PublishedKeys: Google's public token-signing keys, cached for as long as Google's response
permits.
"""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from google.auth import exceptions as auth_errors
from google.auth import transport
from google.auth.transport.requests import Request

from common.domain.errors import DependencyUnavailableError

FIREBASE_KEYS_URL = "https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"
OIDC_KEYS_URL = "https://www.googleapis.com/oauth2/v1/certs"

_FETCH_TIMEOUT_SECONDS = 5
_TRIED_AGAIN_AFTER_SECONDS = 2.0
"""Pause after a failure.

Without it, each waiting request would wait for its own timeout, one after the other.
"""
_RENEWED_AFTER = 0.9
"""Fraction of `max-age` after which keys are refreshed: after a failed refresh the old keys remain
valid for the rest.
"""
_WITHOUT_MAX_AGE_SECONDS = 300.0
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})", re.ASCII)


class PublishedKeys:
    """X.509 certificates by key id, from one URL. Thread-safe.

    Google documents that the keys are valid for the response's `max-age`. Older keys are never
    used.
    """

    def __init__(
        self,
        url: str,
        *,
        fetch: transport.Request | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._fetch = fetch or Request()
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._keys: Mapping[str, str] = {}
        self._renew_at = self._good_until = self._try_again_at = float("-inf")

    def __call__(self) -> Mapping[str, str]:
        """Return the current keys.

        Raises DependencyUnavailableError when there are none and the refresh fails.
        """
        now = self._monotonic()
        if now < self._renew_at:
            return self._keys
        # While the keys are valid, only the thread that gets the lock refreshes them.
        must_wait = now >= self._good_until
        if self._lock.acquire(blocking=must_wait):
            try:
                self._renew_if_due()
            finally:
                self._lock.release()
        if self._monotonic() >= self._good_until:
            raise DependencyUnavailableError("google sign-in keys")
        return self._keys

    def _renew_if_due(self) -> None:
        now = self._monotonic()
        if now >= self._renew_at and now >= self._try_again_at:
            self._renew(now)

    def _renew(self, now: float) -> None:
        try:
            answer = self._fetch(url=self._url, method="GET", timeout=_FETCH_TIMEOUT_SECONDS)
            keys = _keys_in(answer)
        except (auth_errors.TransportError, ValueError):
            self._try_again_at = self._monotonic() + _TRIED_AGAIN_AFTER_SECONDS
            return
        granted = _granted_seconds(answer.headers)
        # Counted from the time of the request, because the response may have taken long.
        self._keys, self._good_until = keys, now + granted
        self._renew_at = now + granted * _RENEWED_AFTER


def _keys_in(answer: transport.Response) -> Mapping[str, str]:
    """Parse the certificates. Raises ValueError for any other content."""
    if answer.status != 200:
        raise ValueError(f"status {answer.status}")
    keys = json.loads(answer.data)
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        raise ValueError("not certificates by key id")
    return keys


def _granted_seconds(headers: Mapping[str, Any]) -> float:
    """Return `max-age` less the time that the response spent in caches (`Age`)."""
    told = {name.lower(): str(value) for name, value in headers.items()}
    found = _MAX_AGE.search(told.get("cache-control", "").lower())
    if found is None:
        return _WITHOUT_MAX_AGE_SECONDS
    age = told.get("age", "0")
    return max(0.0, float(found[1]) - (float(age) if age.isascii() and age.isdigit() else 0.0))

"""PublishedKeys: the public keys that Google signs tokens with, remembered for as long as Google says."""

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
"""After a failure. Otherwise each request in the queue would wait for a timeout of its own, one after the other."""
_RENEWED_AFTER = 0.9
"""Of the time that Google grants: should the first try fail, the old keys are still good for the rest of it."""
_WITHOUT_MAX_AGE_SECONDS = 300.0
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d{1,9})", re.ASCII)


class PublishedKeys:
    """X.509 certificates by key id, from one address. Safe to share between threads.

    Google documents that they are good for the answer's `max-age`; keys that are older are never used.
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
        """The keys in force. Raises DependencyUnavailableError when there are none and none can be had."""
        now = self._monotonic()
        if now < self._renew_at:
            return self._keys
        must_wait = now >= self._good_until  # else whoever is renewing them does so for all
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
        # As of when they were asked for: the answer may have been long on its way.
        self._keys, self._good_until = keys, now + granted
        self._renew_at = now + granted * _RENEWED_AFTER


def _keys_in(answer: transport.Response) -> Mapping[str, str]:
    """Raises ValueError for whatever is not a set of certificates."""
    if answer.status != 200:
        raise ValueError(f"status {answer.status}")
    keys = json.loads(answer.data)
    if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
        raise ValueError("not certificates by key id")
    return keys


def _granted_seconds(headers: Mapping[str, Any]) -> float:
    """What is left of `max-age` after the time that caches on the way have kept the answer (`Age`)."""
    told = {name.lower(): str(value) for name, value in headers.items()}
    found = _MAX_AGE.search(told.get("cache-control", "").lower())
    if found is None:
        return _WITHOUT_MAX_AGE_SECONDS
    age = told.get("age", "0")
    return max(0.0, float(found[1]) - (float(age) if age.isascii() and age.isdigit() else 0.0))

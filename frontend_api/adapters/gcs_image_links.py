"""Links to images: V4-signed by IAM in the cloud, none in the local stack."""

import threading
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import google.auth
import structlog
from cachetools import TTLCache
from google.api_core import exceptions as google_errors
from google.auth import exceptions as auth_errors
from google.auth import iam
from google.auth.transport.requests import Request
from google.cloud.storage import Client as StorageClient
from google.oauth2.service_account import Credentials as SigningCredentials

from common.domain.images import StoredImage
from common.ports import Clock
from frontend_api.images.ports import SignedLink

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_MAX_CACHED = 10_000
_SECONDS = 2.0
"""For one link. Responses wait for it."""
_SLOW = timedelta(seconds=0.5)
"""A link that takes longer starts a pause, too: a response has up to four."""
_PAUSE = timedelta(seconds=10)
_AT_ONCE = 32
_log = structlog.get_logger(__name__)


class NoImageLinks:
    """The ImageLinks of the local stack.

    Emulators have no signing key, so the API sends the bytes itself.
    """

    def signed(self, image: StoredImage) -> SignedLink | None:
        return None


class GcsImageLinks:
    """The ImageLinks of the cloud. IAM signs for the service account, without a key file.

    Links are cached for half of their lifetime: each signature is a network call. After a failure, no
    link is signed for `_PAUSE`, because each try delays a response; then one caller tries.
    """

    def __init__(
        self, client: StorageClient, *, bucket: str, service_account: str, lifetime: timedelta, clock: Clock
    ) -> None:
        self._bucket = client.bucket(bucket)
        self._service_account = service_account
        self._lifetime = lifetime
        self._clock = clock
        self._lock = threading.Lock()
        self._credentials: SigningCredentials | None = None
        self._away_until: datetime | None = None
        """Not None from a failure until a link is signed again."""
        self._cached: MutableMapping[str, SignedLink] = TTLCache(
            _MAX_CACHED, lifetime.total_seconds() / 2, timer=lambda: clock.now().timestamp()
        )
        # The libraries repeat calls of IAM and of the metadata server, with pauses. No response waits for them.
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="image-links")

    def signed(self, image: StoredImage) -> SignedLink | None:
        began = self._clock.now()
        with self._lock:
            if (cached := self._cached.get(image.object_name)) is not None:
                return cached
            if is_trial := self._away_until is not None:
                if began < self._away_until:
                    return None
                self._away_until = began + _PAUSE  # so only this caller tries
        try:
            link = self._pool.submit(self._sign, image).result(_SECONDS)
        except (TimeoutError, auth_errors.GoogleAuthError, google_errors.GoogleAPIError) as error:
            self._pause(str(error) or "timeout")
            return None
        if (took := self._clock.now() - began) > _SLOW:
            self._pause(f"IAM took {took.total_seconds():.1f} s")
        elif is_trial:
            with self._lock:
                self._away_until = None
        return link

    def _pause(self, reason: str) -> None:
        _log.warning("links_not_signed", reason=reason, pause_seconds=_PAUSE.total_seconds())
        with self._lock:
            self._away_until = self._clock.now() + _PAUSE

    def _sign(self, image: StoredImage) -> SignedLink:
        """Sign a link and cache it, also if the caller no longer waits."""
        expires_at = self._clock.now() + self._lifetime
        url: str = self._bucket.blob(image.object_name).generate_signed_url(
            version="v4", expiration=self._lifetime, method="GET", credentials=self._signing()
        )
        link = SignedLink(url=url, expires_at=expires_at)
        with self._lock:
            self._cached[image.object_name] = link
        return link

    def _signing(self) -> SigningCredentials:
        """Return credentials that sign by IAM. They are built at the first use, which reads the metadata server."""
        with self._lock:
            signing = self._credentials
        if signing is None:
            own, _ = google.auth.default(scopes=_SCOPES)
            signer = iam.Signer(partial(_ask_once, Request()), own, self._service_account)
            signing = SigningCredentials(signer, self._service_account, "")
            with self._lock:
                self._credentials = signing
        return signing


def _ask_once(request: Request, *, timeout: float = _SECONDS, **options: Any) -> Any:
    """Send a request. The library's signer waits for two minutes and repeats responses of status 5xx."""
    response = request(timeout=timeout, **options)
    if response.status >= 500:
        raise auth_errors.TransportError(f"status {response.status}")
    return response

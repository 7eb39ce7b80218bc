"""Links to images: V4-signed by IAM in the cloud, none in the local stack."""

import threading
from collections.abc import MutableMapping
from datetime import UTC, datetime, timedelta
from functools import partial

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
"""For one call of IAM. Responses wait for it."""
_PAUSE = timedelta(seconds=10)
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
    link is signed for `_PAUSE`, because each try delays a response.
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
        self._away_until = datetime.min.replace(tzinfo=UTC)
        self._cached: MutableMapping[str, SignedLink] = TTLCache(
            _MAX_CACHED, lifetime.total_seconds() / 2, timer=lambda: clock.now().timestamp()
        )

    def signed(self, image: StoredImage) -> SignedLink | None:
        now = self._clock.now()
        with self._lock:
            cached, is_away = self._cached.get(image.object_name), now < self._away_until
        if cached is not None:
            return cached
        if is_away:
            return None
        try:
            url = self._sign(image)
        except (auth_errors.GoogleAuthError, google_errors.GoogleAPIError) as error:
            _log.warning("links_not_signed", reason=str(error), pause_seconds=_PAUSE.total_seconds())
            with self._lock:
                self._away_until = self._clock.now() + _PAUSE
            return None
        link = SignedLink(url=url, expires_at=now + self._lifetime)
        with self._lock:
            self._cached[image.object_name] = link
        return link

    def _sign(self, image: StoredImage) -> str:
        url: str = self._bucket.blob(image.object_name).generate_signed_url(
            version="v4", expiration=self._lifetime, method="GET", credentials=self._signing()
        )
        return url

    def _signing(self) -> SigningCredentials:
        """Return credentials that sign by IAM. They are built at the first use, which reads the metadata server."""
        with self._lock:
            signing = self._credentials
        if signing is None:
            own, _ = google.auth.default(scopes=_SCOPES)
            # The library's own call to IAM waits for two minutes, with a new connection each time.
            signer = iam.Signer(partial(Request(), timeout=_SECONDS), own, self._service_account)
            signing = SigningCredentials(signer, self._service_account, "")
            with self._lock:
                self._credentials = signing
        return signing

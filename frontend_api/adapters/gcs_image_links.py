"""Links to images: V4-signed by IAM in the cloud, none in the local stack."""

import threading
from collections.abc import MutableMapping
from datetime import timedelta

import google.auth
from cachetools import TTLCache
from google.api_core import exceptions as google_errors
from google.auth import credentials as google_credentials
from google.auth import exceptions as auth_errors
from google.auth.transport.requests import Request
from google.cloud.storage import Client as StorageClient

from common.domain.errors import DependencyUnavailableError
from common.domain.images import StoredImage
from common.ports import Clock
from frontend_api.images.ports import SignedLink

_SCOPES = ("https://www.googleapis.com/auth/cloud-platform",)
_MAX_CACHED = 10_000


class NoImageLinks:
    """The ImageLinks of the local stack.

    Emulators have no signing key, so the API sends the bytes itself.
    """

    def signed(self, image: StoredImage) -> SignedLink | None:
        return None


class GcsImageLinks:
    """The ImageLinks of the cloud. IAM signs for the service account, without a key file.

    Links are cached for half of their lifetime: each signature is a network call.
    """

    def __init__(
        self, client: StorageClient, *, bucket: str, service_account: str, lifetime: timedelta, clock: Clock
    ) -> None:
        self._bucket = client.bucket(bucket)
        self._service_account = service_account
        self._lifetime = lifetime
        self._clock = clock
        self._lock = threading.Lock()
        self._credentials: google_credentials.Credentials | None = None
        self._cached: MutableMapping[str, SignedLink] = TTLCache(
            _MAX_CACHED, lifetime.total_seconds() / 2, timer=lambda: clock.now().timestamp()
        )

    def signed(self, image: StoredImage) -> SignedLink | None:
        now = self._clock.now()
        with self._lock:
            cached = self._cached.get(image.object_name)
        if cached is not None:
            return cached
        link = SignedLink(url=self._sign(image), expires_at=now + self._lifetime)
        with self._lock:
            self._cached[image.object_name] = link
        return link

    def _sign(self, image: StoredImage) -> str:
        try:
            url: str = self._bucket.blob(image.object_name).generate_signed_url(
                version="v4",
                expiration=self._lifetime,
                method="GET",
                service_account_email=self._service_account,
                access_token=self._access_token(),
            )
        except (auth_errors.GoogleAuthError, google_errors.GoogleAPIError) as exc:
            raise DependencyUnavailableError("iam") from exc
        return url

    def _access_token(self) -> str:
        with self._lock:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=_SCOPES)
            if not self._credentials.valid:
                self._credentials.refresh(Request())
            return str(self._credentials.token)

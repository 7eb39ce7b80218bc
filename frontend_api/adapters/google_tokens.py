"""Who is calling in the cloud: Firebase ID tokens of people, OIDC tokens of service accounts."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.auth import exceptions as auth_errors
from google.auth import transport
from google.auth.transport.requests import Request
from google.oauth2 import id_token

from common.domain.errors import DependencyUnavailableError
from frontend_api.authentication import bearer_token, checked_user_id
from frontend_api.ports import NotAuthenticatedError, Principal

_CLOCK_SKEW_SECONDS = 10
_KEYS_TIMEOUT_SECONDS = 5
_KEYS_LIFETIME_SECONDS = 3_600
"""Google rotates its signing keys over days and publishes new ones long before they are used."""


class RememberedKeys(transport.Request):
    """A transport that fetches Google's public keys once an hour instead of once a token."""

    def __init__(self, fetch: Callable[..., transport.Response] | None = None) -> None:
        self._fetch = fetch or Request()
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, transport.Response]] = {}

    def __call__(self, url: Any, method: Any = "GET", *_args: Any, **_kwargs: Any) -> Any:
        """The answer for `url`, perhaps remembered."""
        with self._lock:
            fetched_at, answer = self._kept.get(url, (0.0, None))
            if answer is None or time.monotonic() - fetched_at > _KEYS_LIFETIME_SECONDS:
                answer = self._fetch(url=url, method=method, timeout=_KEYS_TIMEOUT_SECONDS)
                if answer.status == 200:
                    self._kept[url] = (time.monotonic(), answer)
        return answer


@dataclass(frozen=True, slots=True, kw_only=True)
class FirebaseAuthenticator:
    """The Authenticator of the cloud: people, by Firebase ID tokens of this project."""

    project_id: str
    keys: RememberedKeys = field(default_factory=RememberedKeys)

    def principal(self, headers: Mapping[str, str]) -> Principal:
        """See Authenticator.principal."""
        token = bearer_token(headers)
        if token is None:
            raise NotAuthenticatedError("Authorization must carry a Firebase ID token")
        claims = _verified(id_token.verify_firebase_token, token, self.keys, audience=self.project_id)
        if claims.get("iss") != f"https://securetoken.google.com/{self.project_id}":
            raise NotAuthenticatedError("the token is not valid")
        return Principal(user_id=checked_user_id(claims.get("sub")))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountAuthenticator:
    """An Authenticator of programs, by OIDC tokens made for `audience`. The user id is the account's email."""

    audience: str
    keys: RememberedKeys = field(default_factory=RememberedKeys)

    def principal(self, headers: Mapping[str, str]) -> Principal:
        """See Authenticator.principal."""
        token = bearer_token(headers)
        if token is None:
            raise NotAuthenticatedError(f"or a service account's OIDC token made for {self.audience}")
        claims = _verified(id_token.verify_oauth2_token, token, self.keys, audience=self.audience)
        if not claims.get("email_verified"):
            raise NotAuthenticatedError("the token's email is not verified")
        return Principal(user_id=checked_user_id(claims.get("email")))


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcCallers:
    """The InternalCallers of the cloud: one service account, by OIDC tokens made for `audience`."""

    audience: str
    service_account: str
    keys: RememberedKeys = field(default_factory=RememberedKeys)

    def check(self, headers: Mapping[str, str], *, url_token: str | None = None) -> None:
        """See InternalCallers.check."""
        token = bearer_token(headers)
        if token is None:
            raise NotAuthenticatedError("only darkroom's own scheduler may call this")
        claims = _verified(id_token.verify_oauth2_token, token, self.keys, audience=self.audience)
        if not claims.get("email_verified") or claims.get("email") != self.service_account:
            raise NotAuthenticatedError("only darkroom's own scheduler may call this")


def _verified(
    verify: Callable[..., Mapping[str, Any]], token: str, keys: RememberedKeys, *, audience: str
) -> Mapping[str, Any]:
    """The claims of a token that `verify`, one of google-auth's own, finds signed, current and for `audience`."""
    try:
        return verify(token, keys, audience=audience, clock_skew_in_seconds=_CLOCK_SKEW_SECONDS)
    except auth_errors.TransportError as exc:
        raise DependencyUnavailableError("google sign-in keys") from exc
    except (ValueError, auth_errors.GoogleAuthError) as exc:
        raise NotAuthenticatedError("the token is not valid") from exc

"""Authentication in the cloud: Firebase ID tokens for people, OIDC tokens for service accounts.

The checks of a Firebase ID token follow Google's list
(firebase.google.com/docs/auth/admin/verify-id-tokens, "using a third-party JWT library"): `alg`
RS256 and a `kid` that Google publishes; `exp` in the future; `iat` and `auth_time` in the past;
`aud` the project; `iss` securetoken of the project; `sub` the user's id.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from google.auth import exceptions as auth_errors
from google.auth import jwt
from google.auth.transport.requests import Request

from common.adapters.system_clock import SystemClock
from common.domain.errors import DependencyUnavailableError
from common.ports import Clock
from frontend_api.cache import Cached
from frontend_api.identity.allowed_users import AllowedUsers
from frontend_api.identity.emulator_tokens import bearer_token, checked_user_id
from frontend_api.identity.ports import NotAuthenticatedError, Principal

FIREBASE_KEYS_URL = "https://www.googleapis.com/robot/v1/metadata/x509/securetoken@system.gserviceaccount.com"
OIDC_KEYS_URL = "https://www.googleapis.com/oauth2/v1/certs"
CLOCK_SKEW_SECONDS = 10
"""Maximum accepted difference between this machine's clock and Google's."""
KEYS_TTL = timedelta(minutes=15)
KEYS_MAX_AGE = timedelta(hours=1)
"""How long keys are used while Google is unavailable. Google permits about six hours."""
_FETCH_TIMEOUT_SECONDS = 5
_RETRY_AFTER = timedelta(seconds=2)
"""Otherwise each waiting request would wait for its own timeout, one after the other."""
_OIDC_ISSUERS = ("https://accounts.google.com", "accounts.google.com")


class GoogleKeys:
    """Google's public keys for token signatures: X.509 certificates by key id."""

    def __init__(self, url: str, *, clock: Clock | None = None) -> None:
        self._url = url
        self._keys = Cached(
            self._fetch,
            ttl=KEYS_TTL,
            max_age=KEYS_MAX_AGE,
            retry_after=_RETRY_AFTER,
            clock=clock or SystemClock(),
        )

    def __call__(self) -> Mapping[str, str]:
        """Return the current keys. Raises DependencyUnavailableError."""
        return self._keys()

    def _fetch(self, _now: datetime) -> Mapping[str, str]:
        try:
            response = Request()(url=self._url, method="GET", timeout=_FETCH_TIMEOUT_SECONDS)
            keys = json.loads(response.data) if response.status == 200 else None
        except (auth_errors.TransportError, ValueError) as exc:
            raise DependencyUnavailableError("google sign-in keys") from exc
        if not isinstance(keys, dict) or not all(isinstance(key, str) for key in keys.values()):
            raise DependencyUnavailableError("google sign-in keys", "are not certificates by key id")
        return keys


@dataclass(frozen=True, slots=True, kw_only=True)
class FirebaseAuthenticator:
    """The Authenticator of the cloud for people: Firebase ID tokens of this project's allowed users."""

    project_id: str
    allowed: AllowedUsers
    keys: GoogleKeys = field(default_factory=lambda: GoogleKeys(FIREBASE_KEYS_URL))

    def principal(self, headers: Mapping[str, str]) -> Principal:
        token = bearer_token(headers)
        if token is None:
            raise NotAuthenticatedError("Authorization must contain a Firebase ID token")
        claims = _verified(token, self.keys, audience=self.project_id)
        issuer, signed_in_at = claims.get("iss"), claims.get("auth_time")
        if issuer != f"https://securetoken.google.com/{self.project_id}" or not _is_past(signed_in_at):
            raise NotAuthenticatedError("the token is not valid")
        user_id, email = checked_user_id(claims.get("sub")), _verified_email(claims)
        self.allowed.check(user_id, email)
        return Principal(user_id=user_id, email=email)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountAuthenticator:
    """An Authenticator for programs by OIDC tokens; the user id is the account's email."""

    audience: str
    keys: GoogleKeys = field(default_factory=lambda: GoogleKeys(OIDC_KEYS_URL))

    def principal(self, headers: Mapping[str, str]) -> Principal:
        token = bearer_token(headers)
        if token is None:
            raise NotAuthenticatedError(f"Authorization must contain an OIDC token for {self.audience}")
        claims = _verified(token, self.keys, audience=self.audience)
        if claims.get("iss") not in _OIDC_ISSUERS:
            raise NotAuthenticatedError("the token is not valid")
        email = _verified_email(claims)
        if email is None:
            raise NotAuthenticatedError("the token has no verified email")
        return Principal(user_id=checked_user_id(email))


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcCallers:
    """The InternalCallers of the cloud: one service account, authenticated by OIDC tokens."""

    accounts: ServiceAccountAuthenticator
    service_account: str

    def check(self, headers: Mapping[str, str]) -> None:
        if bearer_token(headers) is None or self.accounts.principal(headers).user_id != self.service_account:
            raise NotAuthenticatedError("only the scheduler may call this endpoint")


def _verified(token: str, keys: GoogleKeys, *, audience: str) -> Mapping[str, Any]:
    """Return the claims of a current token for `audience` that one of the keys has signed."""
    try:
        header = jwt.decode_header(token)
        # google-auth also accepts other algorithms, and tries every key for a token without `kid`.
        if header.get("alg") != "RS256" or not isinstance(header.get("kid"), str):
            raise NotAuthenticatedError("the token is not valid")
        claims: Mapping[str, Any] = jwt.decode(
            token, certs=keys(), audience=audience, clock_skew_in_seconds=CLOCK_SKEW_SECONDS
        )
    except (ValueError, TypeError, RecursionError, auth_errors.GoogleAuthError) as exc:
        raise NotAuthenticatedError("the token is not valid") from exc
    return claims


def _verified_email(claims: Mapping[str, Any]) -> str | None:
    email = claims.get("email")
    return email if isinstance(email, str) and claims.get("email_verified") is True else None


def _is_past(moment: object) -> bool:
    if not isinstance(moment, int | float) or isinstance(moment, bool):
        return False
    return moment <= time.time() + CLOCK_SKEW_SECONDS

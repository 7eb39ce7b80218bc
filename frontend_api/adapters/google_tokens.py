"""Authentication in the cloud: Firebase ID tokens for people, OIDC tokens for service accounts.

The checks of a Firebase ID token follow Google's list
(firebase.google.com/docs/auth/admin/verify-id-tokens, "using a third-party JWT library"): `alg`
RS256 and a `kid` that Google publishes; `exp` in the future; `iat` and `auth_time` in the past;
`aud` the project; `iss` securetoken of the project; `sub` the user's id.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google.auth import exceptions as auth_errors
from google.auth import jwt

from frontend_api.adapters.google_keys import FIREBASE_KEYS_URL, OIDC_KEYS_URL, PublishedKeys
from frontend_api.identity.emulator_tokens import bearer_token, checked_user_id
from frontend_api.identity.ports import NotAuthenticatedError, Principal

CLOCK_SKEW_SECONDS = 10
"""Maximum accepted difference between this machine's clock and Google's."""
_OIDC_ISSUERS = ("https://accounts.google.com", "accounts.google.com")


@dataclass(frozen=True, slots=True, kw_only=True)
class FirebaseAuthenticator:
    """The Authenticator of the cloud for people: Firebase ID tokens of this project."""

    project_id: str
    keys: PublishedKeys = field(default_factory=lambda: PublishedKeys(FIREBASE_KEYS_URL))

    def principal(self, headers: Mapping[str, str]) -> Principal:
        token = bearer_token(headers)
        if token is None:
            raise NotAuthenticatedError("Authorization must carry a Firebase ID token")
        claims = _verified(token, self.keys, audience=self.project_id)
        issuer, signed_in_at = claims.get("iss"), claims.get("auth_time")
        if issuer != f"https://securetoken.google.com/{self.project_id}" or not _is_past(signed_in_at):
            raise NotAuthenticatedError("the token is not valid")
        return Principal(user_id=checked_user_id(claims.get("sub")))


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccountAuthenticator:
    """An Authenticator for programs: OIDC tokens issued for `audience`. The user id is the
    account's email.
    """

    audience: str
    keys: PublishedKeys = field(default_factory=lambda: PublishedKeys(OIDC_KEYS_URL))

    def principal(self, headers: Mapping[str, str]) -> Principal:
        token = bearer_token(headers)
        if token is None:
            raise NotAuthenticatedError(f"or a service account's OIDC token made for {self.audience}")
        claims = _verified(token, self.keys, audience=self.audience)
        if claims.get("iss") not in _OIDC_ISSUERS:
            raise NotAuthenticatedError("the token is not valid")
        if claims.get("email_verified") is not True:
            raise NotAuthenticatedError("the token's email is not verified")
        return Principal(user_id=checked_user_id(claims.get("email")))


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcCallers:
    """The InternalCallers of the cloud: one service account, authenticated by OIDC tokens."""

    accounts: ServiceAccountAuthenticator
    service_account: str

    def check(self, headers: Mapping[str, str], *, url_token: str | None = None) -> None:
        if bearer_token(headers) is None or self.accounts.principal(headers).user_id != self.service_account:
            raise NotAuthenticatedError("only darkroom's own scheduler may call this")


def _verified(token: str, keys: PublishedKeys, *, audience: str) -> Mapping[str, Any]:
    """Return the claims of a token that is signed by one of the keys, current, and issued for
    `audience`.
    """
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


def _is_past(moment: object) -> bool:
    if not isinstance(moment, int | float) or isinstance(moment, bool):
        return False
    return moment <= time.time() + CLOCK_SKEW_SECONDS

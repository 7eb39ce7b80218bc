"""Authenticators that need no Google library: the local stack's users and internal tokens.

`adapters/google_tokens.py` authenticates the cloud's callers.
"""

import base64
import binascii
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from frontend_api.identity.ports import Authenticator, NotAnOperatorError, NotAuthenticatedError, Principal

LOCAL_USER_ID = "local"
MAX_USER_ID_CHARACTERS = 128
"""Firebase's limit."""


def bearer_token(headers: Mapping[str, str]) -> str | None:
    """Return the token of `Authorization: Bearer …`, or None without the header.

    Raises NotAuthenticatedError, also for a request with an API key in another header: no
    authenticator may accept one of two credentials and ignore the other.
    """
    fields = {name.lower(): value for name, value in headers.items()}
    header = fields.get("authorization")
    if header is None:
        return None
    if "x-api-key" in fields:
        raise NotAuthenticatedError("send X-API-Key or Authorization, not both")
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise NotAuthenticatedError("Authorization must be 'Bearer' followed by a token")
    return token.strip()


def shown_credentials(headers: Mapping[str, str]) -> str | None:
    """Return the API key or the token of a request without its spelling, or None without one.

    Raises NotAuthenticatedError.
    """
    token = bearer_token(headers)
    keys = (value.strip() for name, value in headers.items() if name.lower() == "x-api-key")
    return next(keys, token)


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorAuthenticator:
    """The Authenticator of the local stack.

    A request without credentials is the user `local`, and so is the token `local`, for clients that
    must send one. An unsigned token names another user. Accepts every caller, so the composition root
    builds it only when the emulators are used.
    """

    project_id: str

    def principal(self, headers: Mapping[str, str]) -> Principal:
        token = bearer_token(headers)
        if token is None or token == LOCAL_USER_ID:
            return Principal(user_id=LOCAL_USER_ID)
        claims = _unsigned_claims(token)
        if claims.get("aud", self.project_id) != self.project_id:
            raise NotAuthenticatedError("the token is for another project")
        return Principal(user_id=checked_user_id(claims.get("sub", claims.get("user_id"))))


def checked_user_id(user_id: object) -> str:
    """Return a user id that can be stored and logged. Raises NotAuthenticatedError."""
    if not isinstance(user_id, str) or not 0 < len(user_id) <= MAX_USER_ID_CHARACTERS:
        raise NotAuthenticatedError("the token must contain a user id of 1 to 128 characters")
    if not user_id.isprintable():
        raise NotAuthenticatedError("the token's user id must be printable")
    return user_id


def unsigned_token(user_id: str, *, project_id: str) -> str:
    """Return a token that the emulators accept, with the claims of Firebase's `mockUserToken`."""
    claims = {
        "iss": f"https://securetoken.google.com/{project_id}",
        "aud": project_id,
        "iat": 0,
        "exp": 3_600,
        "auth_time": 0,
        "sub": user_id,
        "user_id": user_id,
        "firebase": {"sign_in_provider": "custom", "identities": {}},
    }
    return f"{_encoded({'alg': 'none', 'type': 'JWT'})}.{_encoded(claims)}."


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalToken:
    """InternalCallers that present a shared token.

    The local stack's scheduler uses a token generated for each run; the autoscaler has its own.
    """

    token: str
    whose: str = "the scheduler"

    def check(self, headers: Mapping[str, str]) -> None:
        given = bearer_token(headers) or ""
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            raise NotAuthenticatedError(f"only {self.whose} may call this endpoint")


@dataclass(frozen=True, slots=True)
class NoInternalCallers:
    """InternalCallers that rejects every caller, for a deployment that configures none."""

    def check(self, headers: Mapping[str, str]) -> None:
        raise NotAuthenticatedError("no internal callers are configured")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedOperators:
    """Operators named by the deployment: user ids and, in the cloud, emails of service accounts."""

    names: frozenset[str]
    authenticators: tuple[Authenticator, ...]
    """Tried in order; the first that accepts the credentials determines the caller."""

    def check(self, headers: Mapping[str, str]) -> Principal:
        principal = self._principal(headers)
        if principal.user_id not in self.names:
            raise NotAnOperatorError("only operators may call this endpoint")
        return principal

    def _principal(self, headers: Mapping[str, str]) -> Principal:
        refusals = []
        for authenticator in self.authenticators:
            try:
                return authenticator.principal(headers)
            except NotAuthenticatedError as refusal:
                refusals.append(str(refusal))
        raise NotAuthenticatedError("; ".join(dict.fromkeys(refusals)))


def _encoded(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def _unsigned_claims(token: str) -> dict[str, Any]:
    header, _, rest = token.partition(".")
    payload, _, signature = rest.partition(".")
    if signature or _decoded(header).get("alg") != "none":
        raise NotAuthenticatedError("only unsigned emulator tokens are accepted")
    return _decoded(payload)


def _decoded(part: str) -> dict[str, Any]:
    try:
        padded = part + "=" * (-len(part) % 4)
        decoded = json.loads(base64.b64decode(padded, altchars="-_", validate=True))
    except (ValueError, binascii.Error, RecursionError) as exc:
        raise NotAuthenticatedError("the token is malformed") from exc
    if not isinstance(decoded, dict):
        raise NotAuthenticatedError("the token is malformed")
    return decoded

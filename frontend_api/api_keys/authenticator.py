"""Authentication by API key: `Authorization: Bearer drk_…` or `X-API-Key`.

Requests without a key are passed to another Authenticator.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from common.domain.errors import DependencyUnavailableError
from common.ports import Clock
from frontend_api.api_keys.api_key import PREFIX, ApiKeyNotFoundError, id_of
from frontend_api.api_keys.ports import ApiKeyStore
from frontend_api.identity.allowed_users import AllowedUsers
from frontend_api.identity.emulator_tokens import bearer_token
from frontend_api.identity.ports import Authenticator, NotAuthenticatedError, Principal

_NOT_VALID = "the API key is unknown, revoked or expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOrTokenAuthenticator:
    """The Authenticator that checks an API key, or uses `others` for a request without one."""

    keys: ApiKeyStore
    others: Authenticator
    clock: Clock
    allowed: AllowedUsers
    """Checked at each use, because a key outlives its owner's admission."""

    def principal(self, headers: Mapping[str, str]) -> Principal:
        # Proxies may change the case of header names.
        fields = {name.lower(): value for name, value in headers.items()}
        shown, token = fields.get("x-api-key"), bearer_token(headers)
        if shown is not None:
            return self._owner_of(shown.strip())
        if token is not None and token.startswith(PREFIX):
            return self._owner_of(token)
        return self.others.principal(headers)

    def _owner_of(self, shown: str) -> Principal:
        key_id = id_of(shown)
        if key_id is None:
            raise NotAuthenticatedError("the API key is malformed")
        now = self.clock.now()
        try:
            key = self.keys.get(key_id)
        except ApiKeyNotFoundError as exc:
            raise NotAuthenticatedError(_NOT_VALID) from exc
        if not key.is_opened_by(shown, now):
            raise NotAuthenticatedError(_NOT_VALID)
        self.allowed.check(key.user_id, key.owner_email)
        with suppress(
            ApiKeyNotFoundError, DependencyUnavailableError
        ):  # informational only; the next use records it again
            self.keys.record_use(key, now)
        return Principal(
            user_id=key.user_id,
            email=key.owner_email,
            scopes=key.scopes,
            good_until=key.expires_at,
            api_key_id=key.id,
        )

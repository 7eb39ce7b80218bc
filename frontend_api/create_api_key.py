"""Create an API key for a caller. The key itself leaves here once and is kept nowhere."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.domain.errors import DomainError
from common.ports import Clock
from frontend_api.api_key import ApiKey, Scope, hashed, new_key
from frontend_api.ports import ApiKeyStore, Principal

MAX_KEYS_PER_CALLER = 50


class TooManyApiKeysError(DomainError):
    """The caller has as many keys as anybody may have."""

    code = "too_many_api_keys"


class BeyondOwnRightsError(DomainError):
    """A key cannot make one that may do more, or for longer, than itself."""

    code = "forbidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedApiKey:
    """The stored record, and the key that is shown once."""

    record: ApiKey
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateApiKey:
    """The use case."""

    keys: ApiKeyStore
    clock: Clock

    def __call__(
        self, caller: Principal, *, name: str, scopes: frozenset[Scope], good_for: timedelta | None
    ) -> CreatedApiKey:
        """A new key of the caller's. A key that asks and names no end passes its own end on.

        Raises BeyondOwnRightsError, TooManyApiKeysError (which two callers at once may overstep by one).
        """
        now = self.clock.now()
        expires_at = caller.good_until if good_for is None else now + good_for
        _check_rights(caller, scopes, expires_at)
        if len(self.keys.list_for(caller.user_id)) >= MAX_KEYS_PER_CALLER:
            raise TooManyApiKeysError(f"nobody may have more than {MAX_KEYS_PER_CALLER} API keys; revoke one")
        key_id, key = new_key()
        record = ApiKey(
            id=key_id,
            user_id=caller.user_id,
            name=name,
            scopes=scopes,
            secret_sha256=hashed(key),
            created_at=now,
            expires_at=expires_at,
        )
        self.keys.add(record)
        return CreatedApiKey(record=record, key=key)


def _check_rights(caller: Principal, scopes: frozenset[Scope], expires_at: datetime | None) -> None:
    lacking = sorted(scopes - caller.scopes)
    if lacking:
        raise BeyondOwnRightsError(f"this API key lacks {', '.join(lacking)} and cannot give it to another")
    if caller.good_until is not None and (expires_at is None or expires_at > caller.good_until):
        raise BeyondOwnRightsError(
            f"this API key ends at {caller.good_until.isoformat()}, and so must what it makes"
        )

"""ApiKeys: create, list and revoke a caller's API keys."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from common.domain.errors import DomainError
from common.ports import Clock
from frontend_api.api_keys.api_key import ApiKey, ApiKeyNotFoundError, hashed, new_key
from frontend_api.api_keys.ports import ApiKeyStore
from frontend_api.bounded_records import add_within
from frontend_api.identity.ports import Principal, Scope

MAX_KEYS_PER_CALLER = 50


class TooManyApiKeysError(DomainError):
    code = "too_many_api_keys"

    def __init__(self) -> None:
        super().__init__(f"a caller may have at most {MAX_KEYS_PER_CALLER} API keys; revoke one first")


class ExceedsOwnPermissionsError(DomainError):
    """A key cannot create a key with more permissions or a later expiry than its own."""

    code = "forbidden"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedApiKey:
    """The stored record, and the key that is shown once."""

    record: ApiKey
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeys:
    store: ApiKeyStore
    clock: Clock

    def create(
        self, caller: Principal, *, name: str, scopes: frozenset[Scope], good_for: timedelta | None
    ) -> CreatedApiKey:
        """Create a key. It is returned once and never stored.

        A key made by an API key without `good_for` inherits that key's expiry. Raises
        ExceedsOwnPermissionsError and TooManyApiKeysError.
        """
        now = self.clock.now()
        expires_at = caller.good_until if good_for is None else now + good_for
        _check_rights(caller, scopes, expires_at)
        key_id, key = new_key()
        record = ApiKey(
            id=key_id,
            user_id=caller.user_id,
            owner_email=caller.email,
            name=name,
            scopes=scopes,
            secret_sha256=hashed(key),
            created_at=now,
            expires_at=expires_at,
        )
        add_within(
            MAX_KEYS_PER_CALLER,
            count=lambda: len(self.store.list_for(caller.user_id)),
            add=lambda: self.store.add(record),
            remove=lambda: self.store.delete(record.id),
            error=TooManyApiKeysError(),
        )
        return CreatedApiKey(record=record, key=key)

    def revoke(self, user_id: str, key_id: str) -> None:
        """Delete the key. Raises ApiKeyNotFoundError, also for another user's key."""
        if self.store.get(key_id).user_id != user_id:
            raise ApiKeyNotFoundError(key_id)
        self.store.delete(key_id)


def _check_rights(caller: Principal, scopes: frozenset[Scope], expires_at: datetime | None) -> None:
    lacking = sorted(scopes - caller.scopes)
    if lacking:
        raise ExceedsOwnPermissionsError(
            f"the new key must not have scopes that its creator lacks: {', '.join(lacking)}"
        )
    if caller.good_until is not None and (expires_at is None or expires_at > caller.good_until):
        raise ExceedsOwnPermissionsError(
            f"the new key must expire by {caller.good_until.isoformat()}, as the API key that creates it"
        )

"""The package as one record, built from its ports."""

from dataclasses import dataclass
from typing import Self

from common.ports import Clock
from frontend_api.api_keys.create import CreateApiKey
from frontend_api.api_keys.ports import ApiKeyStore
from frontend_api.api_keys.revoke import RevokeApiKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeys:
    store: ApiKeyStore
    create: CreateApiKey
    revoke: RevokeApiKey

    @classmethod
    def build(cls, *, store: ApiKeyStore, clock: Clock) -> Self:
        return cls(store=store, create=CreateApiKey(keys=store, clock=clock), revoke=RevokeApiKey(keys=store))

"""Request and response schemas for API keys."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from frontend_api.api_keys.api_keys import CreatedApiKey
from frontend_api.http.schemas import Integer, RequestBody, ResponseBody, Text
from frontend_api.identity.ports import Scope

MAX_DAYS = 3_650


def _telling_line(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("must be one line of printable characters and must not be blank")
    return text


class ApiKeyRequest(RequestBody):
    """A new API key."""

    name: Annotated[Text, Field(min_length=1, max_length=100), AfterValidator(_telling_line)] = Field(
        description="Your description of the key's purpose.", examples=["nightly batch"]
    )
    scopes: Annotated[
        list[Annotated[Scope, Field(strict=False)]], Field(min_length=1, max_length=len(Scope))
    ] = Field(description="Permissions of the key. No scope implies another.")
    expires_in_days: Annotated[Integer, Field(ge=1, le=MAX_DAYS)] | None = Field(
        default=None, description="Days until the key expires; by default it is valid until it is revoked."
    )

    @property
    def good_for(self) -> timedelta | None:
        return None if self.expires_in_days is None else timedelta(days=self.expires_in_days)


class ApiKeyResponse(ResponseBody):
    """An API key without its secret."""

    id: str
    name: str
    scopes: Annotated[tuple[Scope, ...], BeforeValidator(sorted)]
    created_at: datetime
    expires_at: datetime | None = Field(description="null: valid until revoked.")
    last_used_at: datetime | None = Field(description="Accurate to about ten minutes; null: never used.")


class CreatedApiKeyResponse(ApiKeyResponse):
    """A new API key with its secret, which is shown only in this response."""

    key: str

    @classmethod
    def of_created(cls, created: CreatedApiKey) -> "CreatedApiKeyResponse":
        """Build the only response that contains the key."""
        return cls(**dict(ApiKeyResponse.model_validate(created.record)), key=created.key)


class ApiKeyListResponse(ResponseBody):
    """All of the caller's keys, newest first."""

    keys: tuple[ApiKeyResponse, ...]

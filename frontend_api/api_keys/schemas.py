"""Request and response schemas for API keys."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from frontend_api.api_keys.api_keys import CreatedApiKey
from frontend_api.http.schemas import STORABLE, WHOLE, RequestBody, ResponseBody, matching
from frontend_api.identity.ports import Scope

MAX_DAYS = 3_650
_INVISIBLE = (
    r"\u0000-\u001F\u007F-\u00A0\u00AD\u061C\u115F\u1160\u1680\u180B-\u180F\u2000-\u200F\u2028-\u202F\u205F-\u206F"
    r"\u2800\u3000\u3164\uFE00-\uFE0F\uFEFF\uFFA0\uFFF0-\uFFFB"
)
"""Control characters, spaces other than U+0020, and characters that hide or reorder others."""
_ONE_LINE = matching(
    rf"[^{_INVISIBLE}]*[^ {_INVISIBLE}][^{_INVISIBLE}]*",
    "must be one line of printable characters and must not be blank",
)


class ApiKeyRequest(RequestBody):
    """A new API key."""

    name: Annotated[str, Field(min_length=1, max_length=100), STORABLE, _ONE_LINE] = Field(
        description="Your description of the key's purpose.", examples=["nightly batch"]
    )
    scopes: Annotated[
        list[Annotated[Scope, Field(strict=False)]], Field(min_length=1, max_length=len(Scope))
    ] = Field(description="Permissions of the key. No scope implies another.")
    expires_in_days: Annotated[int, Field(ge=1, le=MAX_DAYS), WHOLE] | None = Field(
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

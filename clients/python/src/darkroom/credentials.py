"""The API's address and the caller's credentials, from arguments or the environment."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from darkroom.errors import ConfigurationError

DEFAULT_URL = "http://localhost:8080"
URL_VARIABLE = "DARKROOM_URL"
TOKEN_VARIABLE = "DARKROOM_TOKEN"  # noqa: S105 (a variable's name)
API_KEY_VARIABLE = "DARKROOM_API_KEY"


@dataclass(frozen=True, slots=True)
class Address:
    """The address of an API, and the headers that authenticate the caller."""

    url: str
    credentials: Mapping[str, str] = field(repr=False)


def resolve_address(
    *, url: str | None, token: str | None, api_key: str | None, environment: Mapping[str, str]
) -> Address:
    """Resolve address and credentials.

    A token or key given as an argument overrides both variables. Raises ConfigurationError.
    """
    if token is None and api_key is None:
        token, api_key = environment.get(TOKEN_VARIABLE) or None, environment.get(API_KEY_VARIABLE) or None
    if token is not None and api_key is not None:
        raise ConfigurationError("both a token and an API key are given: which of them is calling?")
    return Address(
        url=_checked_url(url or environment.get(URL_VARIABLE) or DEFAULT_URL),
        credentials=_credentials(token, api_key),
    )


def _checked_url(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{url!r} is no address: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"{url!r} is no address: it must begin with http:// or https:// and a host")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ConfigurationError("an address ends with its path, and who is calling does not belong into it")
    return url.rstrip("/")


def _credentials(token: str | None, api_key: str | None) -> dict[str, str]:
    if token is not None:
        return {"Authorization": f"Bearer {_sendable(token, 'token')}"}
    if api_key is not None:
        return {"X-API-Key": _sendable(api_key, "API key")}
    return {}


def _sendable(secret: str, kind: str) -> str:
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigurationError(f"the {kind} cannot be one: it is empty or holds characters that none has")
    return secret

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
        raise ConfigurationError("both a token and an API key are given: give only one of them")
    return Address(
        url=_checked_url(url or environment.get(URL_VARIABLE) or DEFAULT_URL),
        credentials=_credentials(token, api_key),
    )


def _checked_url(url: str) -> str:
    if not isinstance(url, str):
        raise ConfigurationError(f"the address must be text (got {type(url).__name__})")
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{url!r} is not a valid address: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigurationError(f"{url!r} is not a valid address: it must be http:// or https:// and a host")
    if parsed.userinfo or parsed.query or parsed.fragment:
        raise ConfigurationError("the address must not contain a user name, password, query or fragment")
    return url.rstrip("/")


def _credentials(token: str | None, api_key: str | None) -> dict[str, str]:
    if token is not None:
        return {"Authorization": f"Bearer {_checked_secret(token, 'token')}"}
    if api_key is not None:
        return {"Authorization": f"Bearer {_checked_secret(api_key, 'API key')}"}
    return {}


def _checked_secret(secret: str, kind: str) -> str:
    if not isinstance(secret, str):
        raise ConfigurationError(f"the {kind} must be text (got {type(secret).__name__})")
    if not secret or not secret.isascii() or not secret.isprintable() or " " in secret:
        raise ConfigurationError(f"the {kind} is invalid: it must be printable ASCII without spaces")
    return secret

"""The API's address and the caller's credentials."""

import pytest

from darkroom.credentials import DEFAULT_URL, Address, resolve_address
from darkroom.errors import ConfigurationError

NOTHING: dict[str, str] = {}


def resolved(environment: dict[str, str], **given: str) -> Address:
    asked = {"url": None, "token": None, "api_key": None, **given}
    return resolve_address(**asked, environment=environment)


def test_the_environment_fills_in_what_is_not_given() -> None:
    environment = {"DARKROOM_URL": "https://a.example/", "DARKROOM_TOKEN": "t"}
    assert resolved(environment) == Address("https://a.example", {"Authorization": "Bearer t"})
    assert resolved({"DARKROOM_API_KEY": "k"}) == Address(DEFAULT_URL, {"X-API-Key": "k"})
    assert resolved({"DARKROOM_URL": "", "DARKROOM_TOKEN": ""}) == Address(DEFAULT_URL, {})


def test_an_argument_of_either_kind_beats_both_variables() -> None:
    environment = {"DARKROOM_URL": "https://a.example", "DARKROOM_TOKEN": "t"}
    address = resolved(environment, url="https://b.example", api_key="k")
    assert address == Address("https://b.example", {"X-API-Key": "k"})


def test_two_callers_at_once_are_refused() -> None:
    for environment, given in [
        ({"DARKROOM_TOKEN": "t", "DARKROOM_API_KEY": "k"}, NOTHING),
        (NOTHING, {"token": "t", "api_key": "k"}),
    ]:
        with pytest.raises(ConfigurationError, match="which of them is calling"):
            resolved(environment, **given)


@pytest.mark.parametrize("secret", ["", "é", "a\nb", "a b"])
@pytest.mark.parametrize("kind", ["token", "api_key"])
def test_what_can_be_no_secret_is_refused_without_repeating_it(kind: str, secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolved(NOTHING, **{kind: secret})
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "http://[::1", "ftp://a.example", "https://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is no address"):
        resolved(NOTHING, url=url)


@pytest.mark.parametrize(
    "url", ["https://me:hush@a.example", "https://a.example?x=1", "https://a.example/#x"]
)
def test_an_address_holds_nothing_else(url: str) -> None:
    with pytest.raises(ConfigurationError, match="ends with its path") as caught:
        resolved(NOTHING, url=url)
    assert "hush" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    assert "hush" not in repr(resolved(NOTHING, token="hush"))

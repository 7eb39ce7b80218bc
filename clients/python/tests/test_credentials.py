"""The API's address and the caller's credentials."""

import pytest

from darkroom.credentials import DEFAULT_URL, Address, resolve_address
from darkroom.errors import ConfigurationError

NOTHING: dict[str, str] = {}


def resolved(environment: dict[str, str], **given: str) -> Address:
    return resolve_address(
        url=given.get("url"), token=given.get("token"), api_key=given.get("api_key"), environment=environment
    )


def test_address_defaults_to_the_environment() -> None:
    environment = {"DARKROOM_URL": "https://a.example/", "DARKROOM_TOKEN": "t"}
    assert resolved(environment) == Address("https://a.example", {"Authorization": "Bearer t"})
    assert resolved({"DARKROOM_API_KEY": "k"}) == Address(DEFAULT_URL, {"Authorization": "Bearer k"})
    assert resolved({"DARKROOM_URL": "", "DARKROOM_TOKEN": ""}) == Address(DEFAULT_URL, {})


def test_address_argument_overrides_both_variables() -> None:
    environment = {"DARKROOM_URL": "https://a.example", "DARKROOM_TOKEN": "t"}
    address = resolved(environment, url="https://b.example", api_key="k")
    assert address == Address("https://b.example", {"Authorization": "Bearer k"})


def test_address_refuses_a_token_with_an_api_key() -> None:
    for environment, given in [
        ({"DARKROOM_TOKEN": "t", "DARKROOM_API_KEY": "k"}, NOTHING),
        (NOTHING, {"token": "t", "api_key": "k"}),
    ]:
        with pytest.raises(ConfigurationError, match="give only one of them"):
            resolved(environment, **given)


@pytest.mark.parametrize("secret", ["", "é", "a\nb", "a b"])
@pytest.mark.parametrize("kind", ["token", "api_key"])
def test_address_refuses_an_invalid_secret_without_showing_it(kind: str, secret: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        resolved(NOTHING, **{kind: secret})
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize("url", ["nonsense", "http://[::1", "ftp://a.example", "https://", "http://a:65536"])
def test_address_refuses_an_invalid_url(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not valid") as caught:
        resolved(NOTHING, url=url)
    assert url in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://me:hush@a.example",
        "https://me:hush@a:65536",
        "me:hush@a.example",
        "https://me:hush/1@a",
        "ftp://a?key=hush",
    ],
)
def test_refusal_of_an_invalid_url_does_not_show_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not valid") as caught:
        resolved(NOTHING, url=url)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://me:hush@a.example", "https://a.example?x=1", "https://a.example/#x"]
)
def test_address_refuses_a_url_with_user_query_or_fragment(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must not contain") as caught:
        resolved(NOTHING, url=url)
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "host",
    [
        "a.example",
        "a.example:8080",
        "8.8.8.8",
        "[2001:4860::1]",
        "localhost.example",
        "0.0.0.0",
        "127.0.0.1.nip.io",
    ],
)
@pytest.mark.parametrize("kind", ["token", "api_key"])
def test_address_refuses_to_send_a_secret_over_http(kind: str, host: str) -> None:
    with pytest.raises(ConfigurationError, match="use https, or set allow_http=True") as caught:
        resolved(NOTHING, url=f"http://{host}/pictures", **{kind: "hush"})
    assert "hush" not in str(caught.value)
    assert resolved(NOTHING, url=f"https://{host}", **{kind: "hush"}).credentials
    assert not resolved(NOTHING, url=f"http://{host}").credentials


@pytest.mark.parametrize(
    "host",
    [
        "localhost:8080",
        "api.localhost",
        "127.0.0.1",
        "127.8.8.8",
        "[::1]",
        "10.0.0.7",
        "192.168.1.2",
        "[fd00::7]",
    ],
)
def test_secret_is_sent_over_http_to_this_machine_and_private_addresses(host: str) -> None:
    assert resolved(NOTHING, url=f"http://{host}", api_key="k").credentials


def test_secret_is_sent_over_http_when_that_is_allowed() -> None:
    url = "http://a.example"
    assert resolve_address(url=url, token=None, api_key="k", allow_http=True, environment={}).credentials
    environment = {"DARKROOM_API_KEY": "k", "DARKROOM_URL": url, "DARKROOM_ALLOW_HTTP": "1"}
    assert resolved(environment).credentials
    for value in ("", "0", "no"):
        with pytest.raises(ConfigurationError):
            resolved({**environment, "DARKROOM_ALLOW_HTTP": value})
    with pytest.raises(ConfigurationError):
        resolve_address(url=None, token=None, api_key=None, allow_http=False, environment=environment)


def test_address_repr_hides_secrets() -> None:
    assert "hush" not in repr(resolved(NOTHING, token="hush"))

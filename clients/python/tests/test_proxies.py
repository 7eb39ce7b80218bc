"""The environment's proxies: never used for loopback; an unusable one yields a one-sentence error."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from darkroom import AsyncClient, Client, ClientError, ConfigurationError, RetryPolicy, UnreachableError
from darkroom.proxies import proxy_for
from local_server import serving

NAMES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
AT_ONCE = RetryPolicy(max_retries=0)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(lambda _path, _body: {"models": []}) as server_port:
        yield server_port


@pytest.fixture
def proxies(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def use(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)

    return use


def blocking(url: str) -> object:
    with Client(url, retries=AT_ONCE) as darkroom:
        return darkroom.models()


def asynchronous(url: str) -> object:
    async def models() -> object:
        async with AsyncClient(url, retries=AT_ONCE) as darkroom:
            return await darkroom.models()

    return asyncio.run(models())


@pytest.mark.parametrize("models", [blocking, asynchronous])
@pytest.mark.parametrize(
    "values",
    [
        {"http_proxy": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9"},
        {"ALL_PROXY": "socks5://127.0.0.1:9"},
        {"all_proxy": "socks4://127.0.0.1:9"},
        {"http_proxy": "http://[nonsense"},
    ],
    ids=["unreachable", "socks_without_its_package", "unknown_scheme", "malformed"],
)
def test_loopback_is_never_proxied(
    values: dict[str, str], models: Callable[[str], object], proxies: Callable[..., None], port: int
) -> None:
    proxies(**values)
    for host in ("127.0.0.1", "localhost"):
        assert models(f"http://{host}:{port}") == ()


@pytest.mark.parametrize("models", [blocking, asynchronous])
@pytest.mark.parametrize(
    ("proxy", "reason"),
    [("socks5://127.0.0.1:9", r"httpx\[socks\]"), ("socks4://u:secret@127.0.0.1:9", "Unknown scheme")],
)
def test_client_raises_when_the_proxy_cannot_be_used(
    proxy: str, reason: str, models: Callable[[str], object], proxies: Callable[..., None]
) -> None:
    proxies(ALL_PROXY=proxy)
    with pytest.raises(ConfigurationError, match=f"^the proxy .* cannot be used: .*{reason}") as refusal:
        models("https://darkroom.example")
    assert "\n" not in str(refusal.value)
    assert "secret" not in str(refusal.value)


def test_host_in_no_proxy_does_not_use_the_proxy(proxies: Callable[..., None]) -> None:
    proxies(ALL_PROXY="socks5://127.0.0.1:9", NO_PROXY="darkroom.invalid")
    with pytest.raises(UnreachableError) as error:
        blocking("http://darkroom.invalid")
    assert "proxy" not in str(error.value)


def test_error_names_an_unreachable_proxy_without_its_password(
    proxies: Callable[..., None], closed_port: int
) -> None:
    proxies(http_proxy=f"http://me:secret@127.0.0.1:{closed_port}")
    with pytest.raises(ClientError) as error:
        blocking("http://darkroom.example")
    assert f"through the proxy http://127.0.0.1:{closed_port}" in str(error.value)
    assert "secret" not in str(error.value)


def test_proxy_for_follows_scheme_and_no_proxy(proxies: Callable[..., None]) -> None:
    proxies(http_proxy="proxy.example:3128", all_proxy="http://other.example", no_proxy="near.example")
    assert proxy_for("http://darkroom.example") == "http://proxy.example:3128"
    assert proxy_for("https://darkroom.example") == "http://other.example"
    assert proxy_for("http://near.example") is None
    for loopback in ("localhost", "api.localhost", "127.0.0.1", "127.1.2.3", "[::1]"):
        assert proxy_for(f"http://{loopback}:8080") is None

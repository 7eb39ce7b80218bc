"""The hosts and origins for which the port for pages responds."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import httpx
import pytest

from local_stack.firestore_proxy.web_server import WebServer
from local_stack.loopback import LOOPBACK, free_port


def status_for(headers: dict[str, str]) -> int:
    """Return the status of a request for the readiness of an emulator that is ready."""

    async def request() -> int:
        server, port = WebServer(cast("Any", SimpleNamespace(is_open=True))), free_port()
        await server.start(LOOPBACK, port)
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                response = await client.get(f"http://{LOOPBACK}:{port}/readyz", headers=headers)
        finally:
            await server.stop()
        return response.status_code

    return asyncio.run(request())


@pytest.mark.parametrize(
    "host",
    ["localhost:8081", "127.0.0.1:8081", "[::1]:8081", "page-3k9x0q7ab.localhost:8081", "page-0.localhost"],
)
def test_port_for_pages_accepts_names_of_this_machine(host: str) -> None:
    assert status_for({"Host": host, "Origin": "http://localhost:8080"}) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8081",
        "evil.localhost:8081",
        "page-.localhost:8081",
        "page-1.localhost.evil.example:8081",
        "evil.example.page-1.localhost:8081",
        "page-1.localhost@evil.example",
        "page-1.localhost:8081.evil.example",
        "",
    ],
)
def test_port_for_pages_refuses_other_names(host: str) -> None:
    assert status_for({"Host": host}) == 403


@pytest.mark.parametrize(
    "origin", ["http://page-1.localhost:8081", "http://evil.localhost:8080", "https://evil.example", "null"]
)
def test_port_for_pages_refuses_pages_of_other_origins(origin: str) -> None:
    """A page whose own name leads to this machine is refused, even if its name is one for pages."""
    assert status_for({"Host": "page-1.localhost:8081", "Origin": origin}) == 403

"""The relay that adds the internal token to the Pub/Sub emulator's pushes."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx
import pytest

from local_stack.loopback import free_port
from local_stack.pubsub_proxy.push_relay import PushRelay

TOKEN = "known to the API and the relay only"


class Api(HTTPServer):
    """Records requests and answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str | None, bytes]] = []
        self.status, self.body = 204, b""


class _Handler(BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, self.headers["Authorization"], body))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def api() -> Iterator[Api]:
    with ExitStack() as exits:
        server = exits.enter_context(Api())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        exits.callback(thread.join)
        exits.callback(server.shutdown)
        yield server


@pytest.fixture
def caller(api: Api) -> Iterator[httpx.Client]:
    with PushRelay(port=0, api_port=api.server_port, token=TOKEN) as relay:
        relay.start()
        address = f"http://127.0.0.1:{relay.server_port}"
        with httpx.Client(base_url=address, trust_env=False, timeout=60) as client:
            yield client
        relay.shutdown()


def test_push_reaches_the_api_with_the_token(api: Api, caller: httpx.Client) -> None:
    for path in ("/internal/events", "/internal/dead-letters"):
        assert caller.post(path, content=b"an envelope").status_code == 204
    assert api.requests == [
        ("/internal/events", f"Bearer {TOKEN}", b"an envelope"),
        ("/internal/dead-letters", f"Bearer {TOKEN}", b"an envelope"),
    ]


def test_emulator_gets_the_apis_response(api: Api, caller: httpx.Client) -> None:
    api.status, api.body = 502, b"not delivered"
    answer = caller.post("/internal/events", content=b"an envelope")
    assert (answer.status_code, answer.content) == (502, b"not delivered")


def test_emulator_gets_502_while_the_api_does_not_run() -> None:
    relay = PushRelay(port=0, api_port=free_port(), token=TOKEN)
    assert relay.forward("/internal/events", b"an envelope") == (502, b"")
    relay.server_close()


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/internal/rescue", {}, 404),
        ("/internal/events?token=x", {}, 404),
        ("/internal/events", {"Origin": "https://evil.example"}, 403),
        ("/internal/events", {"Origin": "null"}, 403),
        ("/internal/events", {"Origin": "http://localhost:8080"}, 403),
        ("/internal/events", {"Sec-Fetch-Site": "cross-site"}, 403),
        ("/internal/events", {"Host": "evil.example"}, 403),
    ],
)
def test_relay_refuses_pages_and_other_paths(
    api: Api, caller: httpx.Client, path: str, headers: dict[str, str], status: int
) -> None:
    assert caller.post(path, content=b"an envelope", headers=headers).status_code == status
    assert api.requests == []

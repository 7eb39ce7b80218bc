"""Clients that follow a redirect to an image do not send the caller's API key to the bucket's host."""

import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import requests
from werkzeug.serving import make_server

from tests.unit.frontend_api.conftest import PNG, Api


class Storage(ThreadingHTTPServer):
    """A bucket's host, which records the headers of requests."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[dict[str, str]] = []

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Storage

    def do_GET(self) -> None:
        self.server.received.append({name.lower(): value for name, value in self.headers.items()})
        self.send_response(200)
        self.send_header("Content-Length", str(len(PNG)))
        self.end_headers()
        self.wfile.write(PNG)

    def log_message(self, *_: Any) -> None:
        return


@pytest.fixture
def storage() -> Iterator[Storage]:
    storage = Storage()
    serving = threading.Thread(target=storage.serve_forever, kwargs={"poll_interval": 0.01})
    serving.start()
    yield storage
    storage.shutdown()
    serving.join()
    storage.server_close()


@pytest.fixture
def image_url(tmp_path: Path, storage: Storage) -> Iterator[str]:
    """The address of an image whose signed link leads to `storage`."""
    api = Api(folder=tmp_path)
    api.links.can_sign, api.links.origin = True, storage.origin
    task = api.completed_task()
    server = make_server("127.0.0.1", 0, api.app, threaded=True)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    yield f"http://127.0.0.1:{server.port}/v1/tasks/{task.id}/images/0"
    server.shutdown()
    serving.join()
    api.subscriptions.shut_down()


@pytest.fixture
def key(image_url: str) -> str:
    keys = httpx.URL(image_url).copy_with(path="/v1/keys")
    made = httpx.post(keys, json={"name": "reader", "scopes": ["read"]}, trust_env=False)
    return str(made.json()["key"])


def with_curl(url: str, header: tuple[str, str]) -> bytes:
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    command = ["curl", "--silent", "--location", "--noproxy", "*", "--header", ": ".join(header), url]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


def with_requests(url: str, header: tuple[str, str]) -> bytes:
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, headers=dict([header]), timeout=60).content


def with_httpx(url: str, header: tuple[str, str]) -> bytes:
    return httpx.get(url, headers=[header], follow_redirects=True, trust_env=False).content


FETCH = "fetch(process.argv[1], {headers: [process.argv.slice(2)]}).then(r => r.arrayBuffer())"


def with_fetch(url: str, header: tuple[str, str]) -> bytes:
    if shutil.which("node") is None:
        pytest.skip("no Node")
    script = f"{FETCH}.then(bytes => process.stdout.write(Buffer.from(bytes)))"
    command = ["node", "--eval", script, url, *header]
    return subprocess.run(command, capture_output=True, check=True, timeout=60).stdout


@pytest.mark.parametrize("fetch", [with_curl, with_requests, with_httpx, with_fetch])
@pytest.mark.parametrize("name", ["Authorization", "X-API-Key"])
def test_key_does_not_reach_the_host_of_the_bucket(
    storage: Storage, image_url: str, key: str, name: str, fetch: Callable[[str, tuple[str, str]], bytes]
) -> None:
    value = f"Bearer {key}" if name == "Authorization" else key
    assert fetch(image_url, (name, value)) == PNG
    assert len(storage.received) == (1 if name == "Authorization" else 0)
    assert all(key not in str(headers) for headers in storage.received)

"""Loopback addresses are reached directly, whatever proxies the environment sets."""

import os
import socket
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import requests

from local_stack.firestore_proxy.exports import FirestoreExports
from local_stack.loopback import no_proxy_environment
from local_stack.processes.child_process import ProcessSpec
from local_stack.processes.probes import responds_ok
from local_stack.processes.supervisor import Supervisor
from local_stack.provisioning import ResourceNames, provision_bucket, provision_pubsub
from local_stack.scheduler import call
from local_stack.views.metrics import fetch_metrics
from local_stack.worker_pools import WorkerPool

UNUSABLE = "http://127.0.0.1:9"
PROXIES = {
    **dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), UNUSABLE),
    **dict.fromkeys(("all_proxy", "ALL_PROXY"), "socks5://127.0.0.1:9"),
}


class Server(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    do_POST = do_PUT = do_GET  # noqa: N815 - names of the base class

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def address(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield a server on loopback, in an environment whose proxies do not work."""
    for name in (*PROXIES, "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in PROXIES.items():
        monkeypatch.setenv(name, value)
    with HTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def test_supervisor_connects_without_a_proxy(address: str, tmp_path: Path) -> None:
    assert responds_ok(f"http://{address}/")(os.getpid()) is None
    provision_pubsub(address, ResourceNames(), [WorkerPool(models=("demo",), workers=1)])
    provision_bucket(f"http://{address}", ResourceNames())
    exports = FirestoreExports(tmp_path, tmp_path / "journal")
    with pytest.raises(FileNotFoundError, match="the emulator wrote no"):  # the request reached it
        exports.export(address, "demo-darkroom")
    assert fetch_metrics({"api-metrics": int(address.rpartition(":")[2])}) == {"api": "ok"}
    assert call(f"http://{address}/internal/rescue", "token", {}) == "200"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"])
def test_server_that_ends_in_its_response_is_not_ready(sent: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def respond() -> None:
            with server.accept()[0] as connection:
                connection.recv(65_536)
                connection.sendall(sent)

        threading.Thread(target=respond, daemon=True).start()
        reason = responds_ok(f"http://127.0.0.1:{server.getsockname()[1]}/")(os.getpid())
    assert reason is not None


def test_child_processes_connect_to_loopback_without_a_proxy(address: str, tmp_path: Path) -> None:
    script = tmp_path / "fetch.py"
    script.write_text(
        "import sys, urllib.request, requests\n"
        "print(urllib.request.urlopen(sys.argv[1]).read(), requests.get(sys.argv[1]).text, flush=True)\n"
        "import time; time.sleep(600)\n"
    )
    log = tmp_path / "logs" / "fetch.log"
    spec = ProcessSpec(
        name="fetch",
        argv=(sys.executable, str(script), f"http://{address}/"),
        why_not_ready=lambda _pid: None if log.read_text().strip() else "nothing printed yet",
    )
    with Supervisor(logs_directory=tmp_path / "logs", stack_id="loopback") as supervisor:
        supervisor.start(spec)
        supervisor.wait_until_ready()
    assert log.read_text().split() == ["b'ok'", "ok"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "127.0.0.1,localhost,::1"),
        ({"no_proxy": "corp.example"}, "corp.example,127.0.0.1,localhost,::1"),
        (
            {"no_proxy": "a.example", "NO_PROXY": "b.example,localhost"},
            "a.example,b.example,localhost,127.0.0.1,::1",
        ),
        ({"NO_PROXY": "*"}, "*"),
    ],
)
def test_no_proxy_keeps_the_callers_hosts(given: dict[str, str], expected: str) -> None:
    variables = no_proxy_environment(given)
    assert variables["no_proxy"] == variables["NO_PROXY"] == expected


def test_no_proxy_extends_the_variable_of_grpc() -> None:
    """gRPC reads `no_grpc_proxy` instead of `no_proxy` where both are set."""
    assert "no_grpc_proxy" not in no_proxy_environment({})
    variables = no_proxy_environment({"no_grpc_proxy": "x.example"})
    assert variables["no_grpc_proxy"] == "x.example,127.0.0.1,localhost,::1"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
def test_no_proxy_is_effective_in_requests(host: str) -> None:
    no_proxy = no_proxy_environment({})["no_proxy"]
    assert requests.utils.should_bypass_proxies(f"http://{host}:8080/", no_proxy=no_proxy)

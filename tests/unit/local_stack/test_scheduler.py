"""The stand-in for Cloud Scheduler."""

import http.server
import queue
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_stack.loopback import free_port
from local_stack.scheduler import ENDPOINTS, call, call_repeatedly

SCHEDULER = Path(__file__).parents[3] / "terraform" / "scheduler.tf"


class Api(http.server.ThreadingHTTPServer):
    """Answers every request with 409 and records it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: queue.Queue[tuple[str, str | None, bytes]] = queue.Queue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/internal/rescue"


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Api

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.put((self.path, self.headers["Authorization"], body))
        self.send_response(409)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        return


@pytest.fixture
def api() -> Iterator[Api]:
    with Api() as api:
        thread = threading.Thread(target=api.serve_forever, args=(0.01,))
        thread.start()
        yield api
        api.shutdown()
        thread.join()


def test_call_posts_with_the_token(api: Api) -> None:
    assert call(api.url, "secret", {"queue_lost_at": "2026-01-01T00:00:00+00:00"}) == "409"
    body = b'{"queue_lost_at": "2026-01-01T00:00:00+00:00"}'
    assert api.requests.get_nowait() == ("/internal/rescue", "Bearer secret", body)


def test_calls_are_repeated_until_the_end(api: Api) -> None:
    stopping = threading.Event()
    thread = threading.Thread(
        target=call_repeatedly,
        args=(api.url, "secret", {}),
        kwargs={"interval_seconds": 0.01, "stopping": stopping},
    )
    thread.start()
    for _ in range(3):
        assert api.requests.get(timeout=30) == ("/internal/rescue", "Bearer secret", b"{}")
    stopping.set()
    thread.join(30)
    assert not thread.is_alive()


def test_call_reports_an_unreachable_api() -> None:
    assert call(f"http://127.0.0.1:{free_port()}", "secret", {}).startswith("no response: ")


def test_endpoints_are_those_of_cloud_scheduler() -> None:
    called = set(re.findall(r'path\s*= "/internal/([a-z-]+)"', SCHEDULER.read_text()))
    assert called - {"scale-workers"} == set(ENDPOINTS)  # the local stack has no pool of Cloud Run

"""The stand-in for Cloud Scheduler."""

import http.server
import threading

from local_stack.loopback import free_port
from local_stack.scheduler import tick


def test_tick_posts_to_each_endpoint_with_the_token() -> None:
    requests: list[tuple[str, str | None, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            requests.append((self.path, self.headers["Authorization"], body))
            self.send_response(409 if len(requests) == 4 else 200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as api:
        threading.Thread(target=api.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{api.server_port}/internal"
        assert tick(url, "secret") == {
            "rescue": "200",
            "remove_expired": "200",
            "record_history": "200",
        }
        lost = tick(url, "secret", queue_lost_at="2026-01-01T00:00:00+00:00")
        assert lost == {"rescue": "409", "remove_expired": "200", "record_history": "200"}
        api.shutdown()
    assert requests == [
        ("/internal/rescue", "Bearer secret", b"{}"),
        ("/internal/remove-expired", "Bearer secret", b"{}"),
        ("/internal/record-history", "Bearer secret", b"{}"),
        ("/internal/rescue", "Bearer secret", b'{"queue_lost_at": "2026-01-01T00:00:00+00:00"}'),
        ("/internal/remove-expired", "Bearer secret", b"{}"),
        ("/internal/record-history", "Bearer secret", b"{}"),
    ]


def test_tick_reports_an_unreachable_api() -> None:
    results = tick(f"http://127.0.0.1:{free_port()}", "secret")
    assert all(result.startswith("no response: ") for result in results.values())

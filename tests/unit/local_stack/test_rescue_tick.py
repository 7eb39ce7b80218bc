"""The stand-in for Cloud Scheduler."""

import http.server
import threading

from local_stack.free_ports import free_port
from local_stack.rescue_tick import tick


def test_a_tick_is_a_post_with_the_token_and_tells_the_answer() -> None:
    asked: list[tuple[str, str | None, bytes]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers["Authorization"], body))
            self.send_response(204 if len(asked) == 1 else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            return

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as api:
        threading.Thread(target=api.serve_forever, args=(0.01,), daemon=True).start()
        url = f"http://127.0.0.1:{api.server_port}/internal/rescue"
        assert tick(url, "secret") == "204"
        assert tick(url, "secret", queue_lost_at="2026-01-01T00:00:00+00:00") == "503"
        api.shutdown()
    assert asked == [
        ("/internal/rescue", "Bearer secret", b"{}"),
        ("/internal/rescue", "Bearer secret", b'{"queue_lost_at": "2026-01-01T00:00:00+00:00"}'),
    ]


def test_an_api_that_is_away_is_no_failure() -> None:
    assert tick(f"http://127.0.0.1:{free_port()}/", "secret").startswith("no answer: ")

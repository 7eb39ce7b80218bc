"""Health of a worker over HTTP, for Kubernetes' probes and the local stack.

/healthz   200 while the worker is alive: recent heartbeat, no side thread dead, deliveries can arrive
/readyz    200 while it accepts deliveries: engine ready with at least one working model, stream
           open, not draining. `engine.broken` lists the models that failed to load, with the
           reason and the time of the next attempt
"""

import json
from collections.abc import Callable
from dataclasses import asdict
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gpu_subscriber.worker.worker import WorkerState


class HealthServer(ThreadingHTTPServer):
    """Answers on its own threads; `serve_forever` is the body of a side thread."""

    daemon_threads = True

    def __init__(self, host: str, port: int, state: Callable[[], WorkerState]) -> None:
        super().__init__((host, port), _Probe)
        self.state = state


class _Probe(BaseHTTPRequestHandler):
    server: HealthServer
    timeout = 10

    def do_GET(self) -> None:
        state = self.server.state()
        match self.path:
            case "/healthz":
                self._answer(state.alive, {"alive": state.alive})
            case "/readyz":
                self._answer(state.ready, asdict(state))
            case _:
                self.send_error(HTTPStatus.NOT_FOUND)

    def log_message(self, format: str, *args: object) -> None:
        """Suppress the access log: probes arrive every few seconds."""

    def _answer(self, ok: bool, body: dict[str, object]) -> None:
        data = json.dumps(body, default=str).encode()
        self.send_response(HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

"""Cloud Run's Admin API with one worker pool, as its reference describes it: bearer tokens, update masks,
and an operation as the response of a change."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

POOL = "projects/p/locations/europe-west4/workerPools/darkroom-worker"
TOKEN = "of the API's service account"


@dataclass
class CloudRun:
    """The server's state. Zero is omitted from responses, as in JSON of protocol buffers."""

    scaling: dict[str, Any] = field(default_factory=lambda: {"scalingMode": "MANUAL"})
    template: dict[str, Any] = field(default_factory=lambda: {"serviceAccount": "darkroom-worker@p"})
    operation_error: dict[str, Any] | None = None
    address: str = ""


@contextmanager
def cloud_run_api() -> Iterator[CloudRun]:
    state = CloudRun()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self._is_admitted():
                self._send(200, {"name": POOL, "scaling": state.scaling, "template": state.template})

        def do_PATCH(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self._is_admitted():
                return
            mask = parse_qs(urlsplit(self.path).query).get("updateMask")
            if mask != ["scaling.manualInstanceCount"]:  # without one, all fields are replaced
                self._send(400, {"error": {"message": f"template is required with the mask {mask}"}})
                return
            if state.operation_error is None:
                count = body["scaling"].get("manualInstanceCount", 0)
                state.scaling = {"scalingMode": "MANUAL", **({"manualInstanceCount": count} if count else {})}
            failed = {} if state.operation_error is None else {"done": True, "error": state.operation_error}
            self._send(200, {"name": "projects/p/locations/europe-west4/operations/1", **failed})

        def _is_admitted(self) -> bool:
            if self.headers["Authorization"] != f"Bearer {TOKEN}":
                self._send(401, {"error": {"code": 401}})
                return False
            if urlsplit(self.path).path != f"/v2/{POOL}":
                self._send(403, {"error": {"code": 403}})  # the role is granted on one pool
                return False
            return True

        def _send(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

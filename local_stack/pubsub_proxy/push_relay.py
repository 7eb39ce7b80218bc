"""PushRelay: forwards the Pub/Sub emulator's pushes to the API, with the internal token.

The emulator can send no header of its own. In the URL of the push endpoint the token would be
readable from the subscriptions and from the emulator's log.
"""

import http.client
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from local_stack.loopback import LOOPBACK, LOOPBACK_HOSTS

_PATHS = frozenset(("/internal/events", "/internal/dead-letters"))
_MAX_BODY_BYTES = 20_000_000
"""Above the largest message of Pub/Sub, in base64."""
_TIMEOUT_SECONDS = 60


class PushRelay(ThreadingHTTPServer):
    """Serves on a port of the loopback address, on threads of its own."""

    daemon_threads = True

    def __init__(self, *, port: int, api_port: int, token: str) -> None:
        super().__init__((LOOPBACK, port), _Handler)
        self._api_port = api_port
        self._token = token

    def start(self) -> None:
        threading.Thread(target=self.serve_forever, name="push-relay", daemon=True).start()

    def forward(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Send a push to the API and return its response; 502 without one."""
        api = http.client.HTTPConnection(LOOPBACK, self._api_port, timeout=_TIMEOUT_SECONDS)
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        try:
            api.request("POST", path, body, headers)
            response = api.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return HTTPStatus.BAD_GATEWAY, b""
        finally:
            api.close()


class _Handler(BaseHTTPRequestHandler):
    server: PushRelay
    protocol_version = "HTTP/1.1"
    timeout = _TIMEOUT_SECONDS

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not self._is_local_program():
            self._answer(HTTPStatus.FORBIDDEN)
        elif self.path not in _PATHS:
            self._answer(HTTPStatus.NOT_FOUND)
        elif not length.isdecimal() or int(length) > _MAX_BODY_BYTES:
            self._answer(HTTPStatus.LENGTH_REQUIRED)
        else:
            status, body = self.server.forward(self.path, self.rfile.read(int(length)))
            self._answer(status, body)

    def _is_local_program(self) -> bool:
        """Return whether no page sent the request: browsers send Origin with each POST."""
        host = urlsplit(f"//{self.headers.get('Host', '')}").hostname
        return (
            host in LOOPBACK_HOSTS and "Origin" not in self.headers and "Sec-Fetch-Site" not in self.headers
        )

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.close_connection = status in (
            HTTPStatus.FORBIDDEN,
            HTTPStatus.NOT_FOUND,
            HTTPStatus.LENGTH_REQUIRED,
        )
        self.send_response(status)
        if status != HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if status != HTTPStatus.NO_CONTENT:
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """The API logs each push."""

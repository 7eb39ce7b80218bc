"""WebhookReceiver: a local HTTP server for webhooks, which verifies signatures with the Standard
Webhooks library.
"""

import threading
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from standardwebhooks import Webhook, WebhookVerificationError

Status = Callable[[str, int], int]
"""Returns the status for an event's id at its nth arrival, from 1; 0 closes the connection without
a response.
"""


class WebhookReceiver:
    """A context manager. Counts only events that verify with one of `secrets`."""

    def __init__(self, secrets: list[str], status: Status = lambda _id, _arrival: 204) -> None:
        self.secrets = secrets
        self.status = status
        self.forged = 0
        self._arrivals: Counter[str] = Counter()
        self._taken: dict[str, dict[str, Any]] = {}
        self.traceparents: list[str] = []
        """The traceparent header of each arrival, in order."""
        self._changed = threading.Condition()
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def arrivals(self) -> dict[str, int]:
        """The number of arrivals of each event id."""
        with self._changed:
            return dict(self._arrivals)

    @property
    def taken(self) -> dict[str, dict[str, Any]]:
        """The bodies of the events that were answered with 2xx, by id."""
        with self._changed:
            return dict(self._taken)

    def wait_until(self, holds: Callable[[], bool], *, timeout_seconds: float = 60.0) -> bool:
        """Check the condition after each arrival. Return whether it held in time."""
        with self._changed:
            return self._changed.wait_for(holds, timeout_seconds)

    def received(self, headers: dict[str, str], body: bytes) -> int:
        """Record an arrival and return the status to answer."""
        event = None
        for secret in self.secrets:
            try:
                event = Webhook(secret).verify(body, headers)
            except WebhookVerificationError:
                continue
        with self._changed:
            self.traceparents.append(headers.get("traceparent", ""))
            if event is None:
                self.forged += 1
                return 401
            event_id = headers["webhook-id"]
            self._arrivals[event_id] += 1
            status = self.status(event_id, self._arrivals[event_id])
            if 200 <= status < 300:
                self._taken[event_id] = event
            self._changed.notify_all()
            return status


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, receiver: WebhookReceiver) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.receiver = receiver


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = self.server.receiver.received({n.lower(): v for n, v in self.headers.items()}, body)
        if status:
            self.send_response(status)
            self.end_headers()

    def log_message(self, *_: Any) -> None:
        return

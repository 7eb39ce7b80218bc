"""An HTTP server on a free port of this machine."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


@contextmanager
def serving(respond: Callable[[str, bytes], object]) -> Iterator[int]:
    """Serve the JSON that `respond` returns for a path and a body, and yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            received = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            body = json.dumps(respond(self.path, received)).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self) -> None:
            self.do_GET()

        def do_DELETE(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            return

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))  # polling interval of shutdown
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()

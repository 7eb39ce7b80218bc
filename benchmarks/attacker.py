"""One caller who attacks the API in many ways at once: `python -m benchmarks.attacker PORT TOKEN [lists]`.

A process of its own, so that its work takes no time of the client that measures. It runs until its
standard input is closed, and then prints the number of responses per attack and status.
"""

import http.client
import itertools
import json
import selectors
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress

from benchmarks.costly_bodies import costly_batch, costly_body
from benchmarks.measurement import repeating
from benchmarks.slow_callers import SlowCallers
from local_stack.loopback import LOOPBACK

_HALF_BODIES = 300
_STREAMS = 600
_LIST_STREAMS = 150
_LISTED = 100
_LABELLED = 50
"""Each second, which is half of the requests that a caller may send."""
_REFUSED_PER_SECOND = 10
_EVENTS_PER_SECOND = 5
_READS_PER_SECOND = 50
_READS_OF_LISTS_PER_SECOND = 20
_TIMEOUT_SECONDS = 60.0
_JSON = {"Content-Type": "application/json"}


class Attacker:
    """The attacks of one caller. Each method sends one request, or fills up what was closed."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}"}
        self._streams: list[socket.socket] = []
        self._lists = selectors.DefaultSelector()
        self._task_id = ""
        self._listed: list[str] = []
        self._labels = itertools.count()
        self._receiver = socket.create_server((LOOPBACK, 0), backlog=1_024)
        """Accepts connections, by its backlog, and never responds."""
        self._body, self._batch = costly_body(), costly_batch()
        self.responses: Counter[str] = Counter()

    def send_refused_body(self) -> None:
        self._ask("refused body", "POST", "/v1/tasks", self._body)

    def send_refused_batch(self) -> None:
        self._ask("refused batch", "POST", "/v1/tasks:batch", self._batch)

    def read_document(self) -> None:
        self._ask("/openapi.json", "GET", "/openapi.json", accept="gzip")

    def read_readiness(self) -> None:
        self._ask("/readyz", "GET", "/readyz")

    def make_event(self) -> None:
        """Finish a task whose receiver never responds."""
        url = f"http://{LOOPBACK}:{self._receiver.getsockname()[1]}/"
        body = json.dumps({"prompt": "a circle", "callback_url": url}).encode()
        self._task_id = json.loads(self._ask("submission", "POST", "/v1/tasks", body)).get(
            "id", self._task_id
        )
        self._ask("cancellation", "POST", f"/v1/tasks/{self._task_id}/cancel")

    def open_streams(self, *, of_lists: int) -> None:
        """Open streams of lists, and then of a task, until the limits of this caller refuse more."""
        body = json.dumps({"tasks": [{"prompt": "a circle"}] * _LISTED}).encode()
        results = json.loads(self._ask("batch", "POST", "/v1/tasks:batch", body))["results"]
        self._listed = [result["task_id"] for result in results]
        for _ in range(of_lists):
            self._lists.register(self._open(f"/v1/tasks:events?count={_LISTED}"), selectors.EVENT_READ)
        for _ in range(_STREAMS - of_lists):
            self._open(f"/v1/tasks/{self._listed[0]}/events")

    def _open(self, path: str) -> socket.socket:
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in self._headers.items())
        connection = socket.create_connection((LOOPBACK, self._port))
        connection.sendall(f"{head}\r\n".encode())
        self._streams.append(connection)
        return connection

    def read_lists(self) -> None:
        """Read what the streams of lists have sent: they would end otherwise."""
        for key, _ in self._lists.select(timeout=0):
            assert isinstance(key.fileobj, socket.socket)
            if not key.fileobj.recv(1 << 20):
                self._lists.unregister(key.fileobj)

    def label_listed(self) -> None:
        """Change the newest tasks, so that each stream of a list has to send them."""
        labels = {"number": str(next(self._labels))}
        body = json.dumps({"task_ids": self._listed[-_LABELLED:], "labels": labels}).encode()
        self._ask("labels", "POST", "/v1/tasks:label", body)

    def _ask(
        self, name: str, method: str, path: str, body: bytes | None = None, *, accept: str = "identity"
    ) -> bytes:
        headers = {**self._headers, **_JSON, "Accept-Encoding": accept}
        with closing(
            http.client.HTTPConnection(LOOPBACK, self._port, timeout=_TIMEOUT_SECONDS)
        ) as connection:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            content = response.read()
        self.responses[f"{name} {response.status}"] += 1
        return content

    def close(self) -> None:
        for connection in (*self._streams, self._receiver):
            connection.close()
        self._lists.close()


def main(port: int, token: str, *, lists: bool) -> None:
    attacks: dict[str, float] = {
        "send_refused_body": _REFUSED_PER_SECOND,
        "send_refused_batch": _REFUSED_PER_SECOND,
        "read_document": _READS_PER_SECOND,
        "read_readiness": _READS_PER_SECOND,
        "make_event": _EVENTS_PER_SECOND,
    }
    if lists:
        attacks |= {"read_lists": _READS_OF_LISTS_PER_SECOND, "label_listed": 1}
    with ExitStack() as exits:
        attacker = exits.enter_context(closing(Attacker(port, token)))
        slow = exits.enter_context(closing(SlowCallers(port, _HALF_BODIES)))
        slow.send()
        attacker.open_streams(of_lists=_LIST_STREAMS if lists else 0)
        exits.enter_context(repeating(slow.send, every_seconds=1))
        for name, per_second in attacks.items():
            work = _surviving(getattr(attacker, name))
            exits.enter_context(repeating(work, every_seconds=1 / per_second))
        print("attacking", flush=True)
        sys.stdin.read()
    print(", ".join(f"{name}: {count}" for name, count in sorted(attacker.responses.items())))


def _surviving(work: Callable[[], object]) -> Callable[[], None]:
    """Ignore closed connections: the API may close those of a caller who sends too much."""

    def attack() -> None:
        with suppress(OSError, http.client.HTTPException, json.JSONDecodeError):
            work()

    return attack


if __name__ == "__main__":
    threading.stack_size(1 << 20)
    main(int(sys.argv[1]), sys.argv[2], lists="lists" in sys.argv[3:])

"""Cost of telemetry: 20 tasks on a stack with full telemetry, compared with one without.

Both stacks run side by side, and each round uses both in alternation. `everything`: spans of every task, sent over OTLP
to a collector that accepts them, and metrics that are scraped once a second. The same is measured for a submission
alone.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

from benchmarks.measurement import percentile, spread_of
from benchmarks.whole_system import all_drawn, warm_system
from local_stack.stack import LocalStack
from local_stack.views.metrics import fetch_metrics
from tests.system_client import SystemClient

ROUNDS = 7
SUBMISSIONS = 40
SILENT = {"DARKROOM_TRACE_EXPORTER": "none", "DARKROOM_METRIC_EXPORTER": "none"}


class _Collector(BaseHTTPRequestHandler):
    """Accepts and counts export requests."""

    requests = 0

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).requests += 1
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def _collector() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Collector) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@contextmanager
def _fetching(stack: LocalStack) -> Iterator[None]:
    done = Event()

    def fetch() -> None:
        while not done.wait(1.0):
            fetch_metrics(stack.ports)

    thread = Thread(target=fetch)
    thread.start()
    yield
    done.set()
    thread.join()


def _submission(client: SystemClient) -> float:
    """Return the median milliseconds of a submission to an idle worker; the tasks are cancelled at once."""
    took = []
    for _ in range(SUBMISSIONS):
        began = time.perf_counter()
        task_id = client.submit("a large red circle", lane="batch")
        took.append((time.perf_counter() - began) * 1_000)
        client.http.post(f"/v1/tasks/{task_id}/cancel").raise_for_status()
    return percentile(took, 50)


def run() -> list[str]:
    drawing: list[float] = []
    submitting: list[float] = []
    with ExitStack() as exits:
        endpoint = exits.enter_context(_collector())
        told = {"DARKROOM_TRACE_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        _, silent = exits.enter_context(warm_system(SILENT))
        stack, observed = exits.enter_context(warm_system(told))
        exits.enter_context(_fetching(stack))
        for number in range(ROUNDS):
            # They alternate in order: a machine that slows down midway slows both equally.
            first, second = (silent, observed) if number % 2 else (observed, silent)
            seconds = {id(client): all_drawn(client) for client in (first, second)}
            milliseconds = {id(client): _submission(client) for client in (first, second)}
            drawing.append(seconds[id(observed)] / seconds[id(silent)])
            submitting.append(milliseconds[id(observed)] / milliseconds[id(silent)])
    assert _Collector.requests, "nothing was told"
    return [
        f"20 images, observed: {spread_of(drawing).said(' x', 3)} the time of a silent stack",
        f"a submission, observed: {spread_of(submitting).said(' x', 3)} the time at a silent stack",
    ]


if __name__ == "__main__":
    print("\n".join(run()))

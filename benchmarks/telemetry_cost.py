"""Cost of full telemetry for 20 tasks and for a submission.

Full telemetry sends the spans of every task over OTLP to a collector, and its metrics are scraped
once a second. Both stacks run side by side, and each round uses both in alternation.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from benchmarks.measurement import milliseconds, percentile, repeating, spread_of
from benchmarks.whole_system import generate_all, warm_system
from local_stack.views.metrics import fetch_metrics
from tests.system_client import SystemClient

ROUNDS = 7
SUBMISSIONS = 40
WITHOUT_TELEMETRY = {"DARKROOM_TRACE_EXPORTER": "none", "DARKROOM_METRIC_EXPORTER": "none"}


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


def _submission(client: SystemClient) -> float:
    """Return the median milliseconds of a submission, whose task is cancelled at once."""
    durations, ids = [], list[str]()
    for _ in range(SUBMISSIONS):
        durations.append(milliseconds(lambda: ids.append(client.submit("a large red circle", lane="batch"))))
        client.http.post(f"/v1/tasks/{ids[-1]}/cancel").raise_for_status()
    return percentile(durations, 50)


def run() -> Iterator[str]:
    generation: list[float] = []
    submission: list[float] = []
    with ExitStack() as exits:
        endpoint = exits.enter_context(_collector())
        with_telemetry = {"DARKROOM_TRACE_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        _, plain = exits.enter_context(warm_system(WITHOUT_TELEMETRY))
        stack, observed = exits.enter_context(warm_system(with_telemetry))
        exits.enter_context(repeating(lambda: fetch_metrics(stack.ports), every_seconds=1))
        for number in range(ROUNDS):
            # The order alternates: a machine that slows down midway slows both equally.
            clients = (plain, observed) if number % 2 else (observed, plain)
            for values, measure in ((generation, generate_all), (submission, _submission)):
                results = {id(client): measure(client) for client in clients}
                values.append(results[id(observed)] / results[id(plain)])
    assert _Collector.requests, "the collector received no export"
    yield f"20 images with telemetry: {spread_of(generation).format(' x', 3)} the time without"
    yield f"a submission with telemetry: {spread_of(submission).format(' x', 3)} the time without"

"""The choice of the exporter, and delivery of its data: to an OTLP endpoint, to a file, to a scrape."""

import gzip
import json
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from structlog.testing import capture_logs

from common.observability import exporters
from common.observability.exporters import metric_reader, sampler, span_processor
from common.observability.origin import Origin, origin_of
from common.settings import SettingsError, SharedSettings
from local_stack.loopback import free_port

RESOURCE = Resource({"service.name": "darkroom-test"})
ELSEWHERE = Origin(process="test", resource=RESOURCE, is_on_google_cloud=False)


def settings(**given: Any) -> SharedSettings:
    return SharedSettings.model_validate(given)


def draw_a_span(processor: SpanProcessor | None) -> None:
    assert processor is not None
    provider = TracerProvider(resource=RESOURCE)
    provider.add_span_processor(processor)
    with provider.get_tracer("test").start_as_current_span("draw", attributes={"images": 2}):
        pass
    provider.shutdown()


class Collector(BaseHTTPRequestHandler):
    """An OTLP endpoint that keeps the last request body. Its /token issues a token to any caller."""

    received = b""
    path_asked = ""
    shown: str | None = None
    has_come = Event()

    def do_POST(self) -> None:
        if self.path == "/token":
            self._hand_out_a_token()
            return
        type(self).shown = self.headers["Authorization"]
        body = self.rfile.read(int(self.headers["Content-Length"]))
        zipped = self.headers.get("Content-Encoding") == "gzip"
        type(self).received = gzip.decompress(body) if zipped else body
        type(self).path_asked = self.path
        self.send_response(200)
        self.end_headers()
        self.has_come.set()

    def _hand_out_a_token(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"access_token": "for-the-machine", "expires_in": 3_600}).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Suppress the log."""


@pytest.fixture
def collector() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_default_exports_nothing_and_calls_no_metadata_server() -> None:
    local = settings(FIRESTORE_EMULATOR_HOST="localhost:1")
    origin = origin_of(local, process="api", instance_id="one")
    assert not origin.is_on_google_cloud
    assert origin.resource.attributes["service.instance.id"] == "one"
    assert span_processor(local, origin) is None
    assert metric_reader(local, origin) is None


def test_spans_are_sent_to_the_configured_endpoint(collector: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
    draw_a_span(span_processor(SharedSettings(), ELSEWHERE))
    assert Collector.has_come.wait(60)
    assert Collector.shown is None
    assert Collector.path_asked == "/v1/traces"
    (exported,) = ExportTraceServiceRequest.FromString(Collector.received).resource_spans
    assert [span.name for span in exported.scope_spans[0].spans] == ["draw"]
    assert {one.key: one.value.string_value for one in exported.resource.attributes} == {
        "service.name": "darkroom-test"
    }


def test_google_cloud_exporter_uses_the_machines_identity(
    collector: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "p",
        "client_email": "worker@p.iam.gserviceaccount.com",
        "private_key": key.decode(),
        "token_uri": f"{collector}/token",
    }
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    monkeypatch.setattr(exporters, "GOOGLE_TRACES", f"{collector}/v1/traces")
    on_google_cloud = Origin(process="test", resource=RESOURCE, is_on_google_cloud=True)
    draw_a_span(span_processor(SharedSettings(), on_google_cloud))
    assert Collector.shown == "Bearer for-the-machine"


def test_file_exporter_writes_a_line_per_ended_span(tmp_path: Path) -> None:
    folder = tmp_path / "traces"
    draw_a_span(span_processor(settings(trace_exporter="file", trace_folder=folder), ELSEWHERE))
    (file,) = folder.glob("test-*.jsonl")
    (span,) = (json.loads(line) for line in file.read_text().splitlines())
    assert (span["name"], span["attributes"]) == ("draw", {"images": 2})


def test_unwritable_trace_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "traces").write_text("a file")
    with pytest.raises(SettingsError, match="DARKROOM_TRACE_FOLDER"):
        span_processor(settings(trace_exporter="file", trace_folder=tmp_path / "traces"), ELSEWHERE)


def test_prometheus_port_serves_metrics_of_one_process() -> None:
    asked = settings(metric_exporter="prometheus", OTEL_EXPORTER_PROMETHEUS_PORT=free_port())
    reader = metric_reader(asked, ELSEWHERE)
    assert reader is not None
    meter = MeterProvider(resource=RESOURCE, metric_readers=[reader]).get_meter("test")
    meter.create_counter("darkroom.tests.run", unit="{test}").add(3, {"kind": "unit"})
    with urllib.request.urlopen(f"http://localhost:{asked.prometheus_port}/metrics") as answer:
        text = answer.read().decode()
    assert 'darkroom_tests_run_total{kind="unit"} 3.0' in text
    with capture_logs() as lines:
        assert metric_reader(asked, ELSEWHERE) is None
    assert [line["event"] for line in lines] == ["metrics_not_served"]


def test_sampler_records_all_unless_the_variable_is_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = sampler()
    assert chosen is not None
    assert "AlwaysOn" in chosen.get_description()
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "traceidratio")
    assert sampler() is None

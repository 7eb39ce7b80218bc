"""The health server over HTTP."""

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace

import pytest

from gpu_subscriber.engine.messages import EngineReady, RunTimes, WarmUpTimes
from gpu_subscriber.worker.health import HealthServer
from gpu_subscriber.worker.worker import WorkerState
from tests.factories import parameters

WELL = WorkerState(
    alive=True,
    ready=True,
    draining=False,
    stream_open=True,
    engine=EngineReady(
        models=("demo",),
        device="cpu",
        dtype="float32",
        slots=8,
        versions={"torch": "2"},
        warm_up=WarmUpTimes.of(
            parameters(),
            RunTimes(
                preparing_seconds=0.01, stepping_seconds=0.1, decoding_seconds=0.2, steps=1, shared_by=1.0
            ),
        ),
    ),
    active_tasks=1,
)


class Probed:
    """A running health server and the state it reports."""

    def __init__(self) -> None:
        self.state = WELL
        self.server = HealthServer("127.0.0.1", 0, lambda: self.state)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}).start()

    def get(self, path: str) -> tuple[int, dict[str, object]]:
        url = f"http://127.0.0.1:{self.server.server_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, {} if error.code == 404 else json.load(error)


@pytest.fixture
def probed() -> Iterator[Probed]:
    probed = Probed()
    yield probed
    probed.server.shutdown()
    probed.server.server_close()


def test_healthy_worker_is_alive_and_ready(probed: Probed) -> None:
    assert probed.get("/healthz") == (200, {"alive": True})
    status, body = probed.get("/readyz")
    assert (status, body["stream_open"], body["active_tasks"]) == (200, True, 1)


def test_draining_worker_is_alive_but_not_ready(probed: Probed) -> None:
    probed.state = replace(WELL, ready=False, draining=True)
    assert probed.get("/healthz")[0] == 200
    assert probed.get("/readyz")[0] == 503


def test_worker_without_a_heartbeat_is_not_alive(probed: Probed) -> None:
    probed.state = replace(WELL, alive=False)
    assert probed.get("/healthz") == (503, {"alive": False})


def test_worker_without_an_engine_is_not_ready(probed: Probed) -> None:
    probed.state = replace(WELL, ready=False, engine=None)
    status, body = probed.get("/readyz")
    assert (status, body["engine"]) == (503, None)


def test_health_server_returns_404_for_other_paths(probed: Probed) -> None:
    assert probed.get("/")[0] == 404

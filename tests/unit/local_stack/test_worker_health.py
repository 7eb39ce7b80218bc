"""A worker that cannot load a model neither delays nor stops the stack."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime

import pytest

from common.domain.worker_report import BrokenModel
from gpu_subscriber.engine.messages import EngineReady
from gpu_subscriber.worker.health import HealthServer
from gpu_subscriber.worker.worker import WorkerState
from local_stack.application import worker
from local_stack.loopback import free_port
from local_stack.worker_health import broken_models, broken_notices

WorkerStarter = Callable[..., int]
REASON = "OSError: unet/diffusion_pytorch_model.safetensors\nis cut short"
RETRY_AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def start_worker() -> Iterator[WorkerStarter]:
    """Return a function that starts a worker's health server and returns its port."""
    with ExitStack() as stack:

        def start(*, ready: bool, models: tuple[str, ...] = (), broken: tuple[str, ...] = ()) -> int:
            failed = tuple(
                BrokenModel(model=name, reason=REASON, failures=1, retry_at=RETRY_AT) for name in broken
            )
            engine = EngineReady(
                models=models, device="cpu", dtype="float32", slots=1, versions={}, broken=failed
            )
            state = WorkerState(
                alive=True,
                ready=ready,
                draining=False,
                stream_open=False,
                engine=engine if models else None,
                active_tasks=0,
            )
            server = stack.enter_context(HealthServer("127.0.0.1", 0, lambda: state))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            return int(server.server_port)

        yield start


def why_not_ready(port: int) -> str | None:
    return worker(number=0, health_port=port, environment={}).why_not_ready(os.getpid())


def test_worker_has_started_when_it_loads_none_of_its_models(start_worker: WorkerStarter) -> None:
    assert why_not_ready(start_worker(ready=False, models=("a", "b"), broken=("a", "b"))) is None


def test_worker_has_not_started_while_it_loads(start_worker: WorkerStarter) -> None:
    assert "returned 503" in (why_not_ready(start_worker(ready=False)) or "")
    assert "returned 503" in (
        why_not_ready(start_worker(ready=False, models=("a", "b"), broken=("b",))) or ""
    )
    assert why_not_ready(start_worker(ready=True, models=("a", "b"), broken=("b",))) is None


def test_worker_has_not_started_when_it_does_not_respond() -> None:
    port = free_port()
    assert "does not respond" in (why_not_ready(port) or "")
    assert broken_models(port) == {}


def test_notice_contains_broken_models_and_reasons(start_worker: WorkerStarter) -> None:
    port = start_worker(ready=True, models=("a", "b"), broken=("b",))
    (notice,) = broken_notices("worker-0", broken_models(port))
    assert notice.startswith("worker-0 cannot load the model b, ")
    assert notice.endswith("Reason: OSError: unet/diffusion_pytorch_model.safetensors is cut short")

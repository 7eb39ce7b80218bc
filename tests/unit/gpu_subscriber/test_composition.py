"""Configuration errors, and modules that the parent process must never load."""

import ctypes
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from common.settings import SettingsError
from gpu_subscriber.__main__ import engine_settings_of
from gpu_subscriber.settings import WorkerSettings


def test_default_settings_are_consistent() -> None:
    assert engine_settings_of(WorkerSettings()).models[0].name == "demo"


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"claim_ttl_seconds": 8}, "three times"), ({"holder_silence_seconds": 5}, "twice")],
)
def test_settings_reject_times_too_short_for_heartbeats(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        WorkerSettings(**changes)


def test_settings_reject_an_unknown_model_by_name() -> None:
    with pytest.raises(SettingsError, match="DARKROOM_MODELS: model 'dream' does not exist"):
        engine_settings_of(WorkerSettings(models=("dream",)))


def test_worker_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKROOM_SUBSCRIPTION", "darkroom-tasks-sdxl")
    monkeypatch.setenv("DARKROOM_MODELS", "sdxl, flux,")
    settings = WorkerSettings()
    assert (settings.subscription, settings.models) == ("darkroom-tasks-sdxl", ("sdxl", "flux"))
    monkeypatch.setenv("DARKROOM_MODELS", "")
    assert WorkerSettings().models == ()


def test_parent_process_never_imports_torch() -> None:
    script = (
        "import sys, gpu_subscriber.__main__; "
        "print([name for name in ('torch', 'diffusers', 'transformers', 'safetensors') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def wait_for_line(worker: subprocess.Popen[str], event: str) -> None:
    assert worker.stdout is not None
    assert any(event in line for line in worker.stdout), f"{event} was not logged"


def run_worker(**environment: str) -> subprocess.Popen[str]:
    """Start the real program with addresses where no server listens."""
    nowhere = {
        "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1",
        "PUBSUB_EMULATOR_HOST": "127.0.0.1:1",
        "STORAGE_EMULATOR_HOST": "http://127.0.0.1:1",
        "DARKROOM_HEALTH_PORT": "0",
    }
    return subprocess.Popen(
        [sys.executable, "-m", "gpu_subscriber"],
        env={**os.environ, **nowhere, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_worker_exits_0_when_drained_before_ready(how: signal.Signals) -> None:
    with run_worker() as worker:
        wait_for_line(worker, "engine_started")
        worker.send_signal(how)
        assert_left_in_good_order(worker)


def test_worker_drains_when_another_thread_gets_the_signal() -> None:
    with run_worker() as worker:
        wait_for_line(worker, "engine_ready")  # from now on the main thread only waits
        threads = {int(thread.name) for thread in Path(f"/proc/{worker.pid}/task").iterdir()}
        for thread in sorted(threads - {worker.pid}, reverse=True):
            with suppress(ProcessLookupError):  # the thread has just ended
                send_to_thread(worker.pid, thread, signal.SIGTERM)
                break
        assert_left_in_good_order(worker)


def assert_left_in_good_order(worker: subprocess.Popen[str]) -> None:
    said, complained = worker.communicate(timeout=120)
    assert worker.returncode == 0, f"{said}\n{complained}"


def send_to_thread(process_id: int, thread_id: int, number: signal.Signals) -> None:
    """Call tgkill(2), which Python offers only for threads of its own process."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.tgkill(process_id, thread_id, int(number)) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def test_misconfigured_worker_reports_the_error_and_exits_78() -> None:
    with run_worker(DARKROOM_CLAIM_TTL_SECONDS="6") as worker:
        _, complaint = worker.communicate(timeout=120)
        assert worker.returncode == 78
    assert "claim_ttl_seconds must be at least three times heartbeat_interval_seconds" in complaint

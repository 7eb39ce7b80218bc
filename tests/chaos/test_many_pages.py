"""Hundreds of page loads while thousands of tasks are generated leak no resources."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psutil
import pytest

from frontend_api.identity.emulator_tokens import LOCAL_USER_ID
from tests.chaos.rig import RecordProperty, Rig
from tests.page_channel import PageClient, reconnects, until_current

pytestmark = pytest.mark.chaos
MEBIBYTE = 2**20


class Prober:
    """Reads tasks continuously, and records the longest time in which every read failed."""

    def __init__(self, http: httpx.Client) -> None:
        self.longest_failure_seconds = 0.0
        self.reads = 0
        self._http = http
        self._stopping = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self._probe)
        thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            thread.join()

    def _probe(self) -> None:
        succeeded_at = time.monotonic()
        while not self._stopping.wait(0.05):
            began = time.monotonic()
            try:
                is_success = self._http.get("/v1/tasks", params={"page_size": 1}).is_success
            except httpx.TransportError:
                is_success = False
            self.reads += 1
            if is_success:
                succeeded_at = time.monotonic()
            else:
                self.longest_failure_seconds = max(
                    self.longest_failure_seconds, time.monotonic() - min(began, succeeded_at)
                )


@reconnects
def loaded_page(rig: Rig) -> PageClient:
    """Return a page that has shown the tasks and closed its connection."""
    page = PageClient(rig.site.stack.environment, LOCAL_USER_ID)
    page.open()
    with page.reading() as messages:
        until_current(messages)
    return page


@pytest.mark.parametrize(
    ("loads", "tasks"),
    [(30, 60), pytest.param(300, 3_000, marks=[pytest.mark.chaos_long, pytest.mark.timeout(1_800)])],
)
def test_page_loads_and_tasks_leak_no_resources(
    rig: Rig, record_property: RecordProperty, loads: int, tasks: int
) -> None:
    rig.start_worker(CHAOS_STEP_SECONDS=0, DARKROOM_SLOTS=8)
    emulator = psutil.Process(rig.site.stack.process("firestore-emulator").pid)
    proxy = psutil.Process(rig.site.stack.process("firestore-proxy").pid)
    prober = Prober(rig.client.http)
    with prober.running():
        for load in range(loads):
            page = loaded_page(rig)
            for _ in range(tasks // loads):
                rig.submit()
            if load % 2:
                page.close()  # the other half disconnects without notice
        rig.verify(timeout_seconds=120 + tasks / 4)
    measured = {
        "reads": prober.reads,
        "longest_failure_seconds": round(prober.longest_failure_seconds, 2),
        "emulator_mib": emulator.memory_info().rss // MEBIBYTE,
        "proxy_mib": proxy.memory_info().rss // MEBIBYTE,
        "largest_log_mib": round(
            max(log.stat().st_size for log in rig.site.logs.glob("*.log*")) / MEBIBYTE, 1
        ),
        "emulator_threads": emulator.num_threads(),
    }
    for name, value in measured.items():
        record_property(name, value)

    assert prober.longest_failure_seconds < 30, measured
    assert measured["emulator_mib"] < 1_500, measured
    assert measured["emulator_threads"] < 100, measured  # the emulator keeps one thread per channel
    assert measured["largest_log_mib"] <= 16, measured

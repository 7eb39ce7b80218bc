"""The contract of WorkerReports, on the fake and on Firestore's emulator."""

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_worker_reports import FirestoreWorkerReports
from common.domain.errors import DependencyUnavailableError
from common.domain.worker_report import ModelTimes, PredictionSample, SizeTimes, WorkerReport
from common.ports import WorkerReports
from common.wire_formats.worker_report import COLLECTION
from local_stack.loopback import free_port
from tests.emulators import Emulators
from tests.factories import NOW, worker_report
from tests.fakes.in_memory_worker_reports import InMemoryWorkerReports

SECOND = timedelta(seconds=1)


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def reports(request: pytest.FixtureRequest) -> WorkerReports:
    if request.param == "fake":
        return InMemoryWorkerReports()
    emulators: Emulators = request.getfixturevalue("emulators")
    client = firestore_client(f"demo-{uuid.uuid4().hex[:12]}", emulator_host=emulators.firestore_host)
    return FirestoreWorkerReports(client, timeout_seconds=60)


def times_of(model: str) -> ModelTimes:
    return ModelTimes(model=model, gpu_seconds_per_unit=0.5, sizes=())


def ids(found: tuple[WorkerReport, ...]) -> list[str]:
    return [report.worker_id for report in found]


def test_alive_is_empty_without_reports(reports: WorkerReports) -> None:
    assert reports.alive(NOW) == reports.latest("demo", limit=10) == ()


def test_report_is_returned_as_published(reports: WorkerReports) -> None:
    size = SizeTimes(
        pass_pixels=131_072,
        step_seconds=0.05,
        alone_step_seconds=None,
        preparing_seconds=0.01,
        decoding_seconds=0.1,
        images=3,
    )
    report = replace(
        worker_report(),
        times=(ModelTimes(model="demo", gpu_seconds_per_unit=0.5, sizes=(size, size)),),
        handling_seconds=0.25,
        predictions=(PredictionSample(predicted_seconds=4.0, took_seconds=5.0),) * 2,
    )
    reports.publish(report)
    assert reports.alive(NOW) == (report,)


def test_later_report_replaces_the_earlier_one(reports: WorkerReports) -> None:
    reports.publish(worker_report(slots=1))
    reports.publish(worker_report(slots=2))
    assert [report.slots for report in reports.alive(NOW)] == [2]


def test_worker_is_alive_until_its_alive_until(reports: WorkerReports) -> None:
    reports.publish(worker_report("short", alive_until=NOW + SECOND))
    reports.publish(worker_report("long", alive_until=NOW + 3 * SECOND))
    reports.publish(worker_report("left").leaving(NOW))
    assert sorted(ids(reports.alive(NOW))) == ["long", "short"]
    assert ids(reports.alive(NOW + SECOND)) == ["long"]


def test_latest_returns_reports_of_dead_workers_newest_first(reports: WorkerReports) -> None:
    for name, seconds in (("first", 1), ("third", 3), ("second", 2)):
        reports.publish(worker_report(name, alive_until=NOW + seconds * SECOND, times=(times_of("demo"),)))
    assert ids(reports.latest("demo", limit=2)) == ["third", "second"]


def test_latest_finds_the_model_behind_other_reports(reports: WorkerReports) -> None:
    both = (times_of("demo"), times_of("rare"))
    reports.publish(worker_report("knows both", alive_until=NOW, times=both))
    for number in range(12):
        later = NOW + (number + 1) * SECOND
        reports.publish(worker_report(f"serves it {number}", models=("demo", "rare"), alive_until=later))
    assert ids(reports.latest("rare", limit=3)) == ["knows both"]
    assert reports.latest("unheard-of", limit=3) == ()


@pytest.mark.emulator
def test_alive_skips_undecodable_reports(emulators: Emulators) -> None:
    client = firestore_client(f"demo-{uuid.uuid4().hex[:12]}", emulator_host=emulators.firestore_host)
    reports = FirestoreWorkerReports(client, timeout_seconds=60)
    reports.publish(worker_report())
    client.collection(COLLECTION).document("newer").set({"version": "2.0", "alive_until": NOW + SECOND})
    assert ids(reports.alive(NOW)) == ["worker-1"]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("kind", ["fake", "emulator"])
def test_reports_fail_within_seconds_when_store_is_unreachable(kind: str) -> None:
    fake = InMemoryWorkerReports()
    fake.unavailable = True
    unreachable = firestore_client("demo-unreachable", emulator_host=f"127.0.0.1:{free_port()}")
    reports: WorkerReports = (
        fake if kind == "fake" else FirestoreWorkerReports(unreachable, timeout_seconds=0.5)
    )
    calls: list[Callable[[], object]] = [
        lambda: reports.publish(worker_report()),
        lambda: reports.alive(NOW),
        lambda: reports.latest("demo", limit=1),
    ]
    for call in calls:
        with pytest.raises(DependencyUnavailableError):
            call()

"""The queued work and its workers: the rules, and the caching of measurements."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from common.domain.errors import DependencyUnavailableError
from common.domain.models.catalog import EMBEDDED_CATALOG
from common.domain.task import Lane, Task
from common.domain.worker_report import ModelTimes, WorkerReport
from frontend_api.estimates.workload import Workload
from frontend_api.estimates.workload_cache import WorkloadCache
from frontend_api.stats.backlog import ActiveTask, Backlog, Work
from tests.counted_lock import CountedLock
from tests.factories import NOW, claim_of, parameters, submitted_task, worker_report
from tests.fakes.fake_clock import FakeClock
from tests.fakes.in_memory_dead_letter_archive import InMemoryDeadLetterArchive
from tests.fakes.in_memory_task_stats import InMemoryTaskStats
from tests.fakes.in_memory_task_store import InMemoryTaskStore
from tests.fakes.in_memory_worker_reports import InMemoryWorkerReports


def knowing(worker_id: str, seconds_per_unit: float, **changes: object) -> WorkerReport:
    times = (ModelTimes(model="demo", gpu_seconds_per_unit=seconds_per_unit, sizes=()),)
    return replace(worker_report(worker_id, **changes), times=times)


def workload(*, queued: Work = Work(), processing: Work = Work(), **changes: object) -> Workload:  # noqa: B008 (frozen)
    backlog = Backlog(queued={Lane.INTERACTIVE: queued}, processing={Lane.BATCH: processing})
    fields = {"as_of": NOW, "measured": {"demo": backlog}, "workers": (), **changes}
    return Workload(**fields)  # type: ignore[arg-type]


def test_work_unit_is_a_million_pixels_through_the_network_once() -> None:
    asked = parameters(width=256, height=256, steps=17, guidance_scale=1.0)
    assert asked.work_units == pytest.approx(0.256 * 0.256 * 20)
    assert parameters(
        width=256, height=256, steps=17, guidance_scale=4.0, num_images=4
    ).work_units == pytest.approx(4 * 0.256 * 0.256 * 37)


def test_fast_and_slow_workers_share_the_work() -> None:
    both = workload(queued=Work(tasks=3, units=12.0), workers=(knowing("fast", 1.0), knowing("slow", 3.0)))
    # Together they do 4/3 units a second: each is busy for 9 seconds.
    assert both.gpu_seconds_left("demo") == pytest.approx(18.0)


def test_worker_without_measurements_counts_like_the_others() -> None:
    some = workload(queued=Work(tasks=1, units=2.0), workers=(knowing("a", 1.5), worker_report("b")))
    assert some.gpu_seconds_left("demo") == pytest.approx(3.0)


def test_latest_former_worker_is_used_when_none_is_alive() -> None:
    former = (worker_report("knew nothing"), knowing("last", 2.0), knowing("before", 9.0))
    assert workload(queued=Work(tasks=1, units=2.0), former_workers=former).gpu_seconds_left(
        "demo"
    ) == pytest.approx(4.0)


def test_gpu_seconds_are_unknown_without_measurements() -> None:
    unknown = workload(queued=Work(tasks=1, units=2.0), workers=(worker_report("new"),))
    assert unknown.gpu_seconds_left("demo") is None
    assert unknown.all_gpu_seconds_left is None
    assert workload().all_gpu_seconds_left == 0.0


def test_one_held_task_per_worker_counts_half() -> None:
    held = workload(processing=Work(tasks=4, units=8.0), workers=(knowing("a", 1.0), knowing("b", 1.0)))
    assert held.units_in_work("demo") == pytest.approx(2 * 2.0 + 2 * 1.0)


def queued_in(found: Workload | None) -> int:
    assert found is not None
    return found.backlog_of("demo").all_queued.tasks


class Reading:
    """A WorkloadCache over fakes."""

    def __init__(self) -> None:
        self.store = InMemoryTaskStore()
        self.stats = InMemoryTaskStats(self.store, InMemoryDeadLetterArchive())
        self.reports = InMemoryWorkerReports()
        self.clock = FakeClock()
        self.read = WorkloadCache(
            catalog=EMBEDDED_CATALOG, stats=self.stats, reports=self.reports, clock=self.clock
        )

    def submit(self, name: str) -> Task:
        task = self.store.create(submitted_task(task_id=name, now=self.clock.now()))
        self.read.add_queued(task)
        return task

    def claim(self, task: Task) -> Task:
        return self.store.update(
            task.id, lambda t: t.claimed_by("worker-1", self.clock.now(), timedelta(seconds=60))
        )

    def finish(self, task: Task) -> None:
        self.claim(task)
        self.store.update(task.id, lambda t: t.completed(claim_of(t), (), self.clock.now()))

    @property
    def queued(self) -> int:
        return queued_in(self.read.latest())

    @property
    def queued_before_submission(self) -> int:
        return queued_in(self.read.latest(checked=True))


@pytest.fixture
def reading() -> Reading:
    return Reading()


def test_stored_task_is_counted_at_once_and_only_once(reading: Reading) -> None:
    assert reading.queued == 0
    for name in ("one", "two"):
        reading.submit(name)
    assert reading.queued == 2
    assert reading.stats.calls["active"] == 1
    reading.clock.advance(1)
    assert reading.read().backlog_of("demo").all_queued.tasks == 2
    assert (reading.stats.calls["active"], reading.stats.calls["backlog"]) == (2, 0)


def test_caller_gets_the_cached_workload_during_a_measurement(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.submit("one")
    reading.clock.advance(0.1)
    assert reading.queued == 1
    may_go_on, read = threading.Event(), reading.stats.active

    def slow(*, at_most: int) -> tuple[ActiveTask, ...]:
        assert may_go_on.wait(60)
        return read(at_most=at_most)

    monkeypatch.setattr(reading.stats, "active", slow)
    reading.clock.advance(0.8)
    assert reading.queued == 1
    reading.submit("two")  # submitted during the measurement: counted exactly once
    assert reading.queued == 2
    may_go_on.set()
    for thread in threading.enumerate():
        if thread.name == "workload":
            thread.join(60)
    assert reading.queued == 2
    assert reading.stats.calls["active"] == 2
    reading.clock.advance(2)
    assert reading.read().backlog_of("demo").all_queued.tasks == 2


def test_caller_waits_for_a_measurement_when_the_cache_is_too_old(reading: Reading) -> None:
    assert reading.queued == 0
    reading.store.create(submitted_task(now=reading.clock.now()))
    reading.clock.advance(15)
    assert reading.queued == 1


@pytest.mark.parametrize(("tasks", "good_for"), [(21, 1), (999, 1), (1_000, 4), (3_500, 8), (90_000, 10)])
def test_long_backlog_is_measured_less_often(
    reading: Reading, monkeypatch: pytest.MonkeyPatch, tasks: int, good_for: float
) -> None:
    long = Backlog(queued={Lane.BATCH: Work(tasks=tasks, units=1.0 * tasks)})
    times_measured = 0

    def measure(_model: str, *, queued_before: datetime) -> Backlog:
        nonlocal times_measured
        times_measured += 1
        return long

    monkeypatch.setattr(reading.stats, "backlog", measure)
    some = ActiveTask.of(submitted_task())
    monkeypatch.setattr(reading.stats, "active", lambda *, at_most: (some,) * at_most)
    reading.read()
    reading.clock.advance(good_for - 0.3)
    reading.read()
    assert times_measured == 1
    reading.clock.advance(0.3)
    reading.read()
    assert times_measured == 2


def test_submission_counts_no_finished_task_when_tasks_come_one_by_one(reading: Reading) -> None:
    for number in range(20):
        assert reading.queued_before_submission == 0
        task = reading.submit(f"task-{number}")
        reading.clock.advance(0.1)
        reading.finish(task)


def test_other_process_counts_arrivals_and_finished_tasks_within_a_second(reading: Reading) -> None:
    other = WorkloadCache(
        catalog=EMBEDDED_CATALOG, stats=reading.stats, reports=reading.reports, clock=reading.clock
    )

    def queued_there() -> int:
        return queued_in(other.latest(checked=True))

    assert (reading.queued, queued_there()) == (0, 0)
    tasks = [reading.submit(name) for name in ("one", "two", "three")]
    reading.clock.advance(1)
    assert queued_there() == 3
    for task in tasks:
        reading.finish(task)
    reading.clock.advance(0.2)
    assert (reading.queued_before_submission, queued_there()) == (0, 0)


def test_check_counts_a_claimed_task_as_processing(reading: Reading) -> None:
    assert reading.queued == 0
    claimed, queued = reading.submit("claimed"), reading.submit("queued")
    reading.claim(claimed)
    reading.clock.advance(0.2)
    backlog = reading.read(checked=True).backlog_of("demo")
    assert (backlog.all_queued.tasks, backlog.all_processing.tasks) == (1, 1)
    reading.store.delete(queued.id, now=reading.clock.now())
    reading.clock.advance(0.2)
    assert reading.queued_before_submission == 0


def test_burst_is_counted_once_and_forgotten_within_a_second(reading: Reading) -> None:
    assert reading.queued == 0
    tasks = [reading.submit(f"task-{number}") for number in range(30)]
    assert reading.queued == 30
    for task in tasks:
        reading.finish(task)
    reading.clock.advance(1)
    assert reading.read().backlog_of("demo").all_queued.tasks == 0
    assert reading.stats.calls["backlog"] == 1
    reading.clock.advance(1)
    assert reading.queued_before_submission == 0
    assert reading.stats.calls["backlog"] == 1  # so few tasks are listed again


@pytest.mark.parametrize(("tasks", "seconds"), [(1, 0.1), (8, 0.4), (14, 0.7)])
def test_checks_read_at_most_20_documents_a_second(reading: Reading, tasks: int, seconds: float) -> None:
    assert reading.queued == 0
    for number in range(tasks):
        reading.submit(f"task-{number}")
    reading.clock.advance(seconds - 0.01)
    assert reading.queued_before_submission == tasks
    assert reading.stats.calls["statuses"] == 0
    reading.clock.advance(0.01)
    assert reading.queued_before_submission == tasks
    assert reading.stats.calls["statuses"] == 1


def test_task_stored_while_it_is_listed_is_counted_once(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = reading.stats.active

    def stored_meanwhile(*, at_most: int) -> tuple[ActiveTask, ...]:
        seen = reading.submit("seen by the query")
        found = read(at_most=at_most)
        reading.submit("stored after the query")
        reading.read.add_queued(seen)
        return found

    monkeypatch.setattr(reading.stats, "active", stored_meanwhile)
    assert reading.queued == 2


def test_workload_is_none_without_firestore_and_not_read_for_a_while(reading: Reading) -> None:
    reading.stats.unavailable = True
    with pytest.raises(DependencyUnavailableError):
        reading.read()
    assert reading.read.latest() is None
    reading.stats.unavailable = False
    assert reading.read.latest() is None
    reading.clock.advance(5)
    assert reading.read.latest() is not None


def test_callers_that_wait_for_a_measurement_share_its_failure(
    reading: Reading, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the last one of a new process waits for as many measurements as there are callers."""
    lock, may_fail, measured = CountedLock(), threading.Event(), []

    def failing(*, at_most: int) -> tuple[ActiveTask, ...]:
        measured.append(at_most)
        assert may_fail.wait(60)
        raise DependencyUnavailableError("firestore")

    monkeypatch.setattr(reading.read, "_measuring", lock)
    with monkeypatch.context() as outage, ThreadPoolExecutor(8) as pool:
        outage.setattr(reading.stats, "active", failing)
        calls: list[Future[Any]] = [pool.submit(reading.read) for _ in range(4)]
        calls += [pool.submit(reading.read.latest) for _ in range(4)]
        lock.wait_until_requested(8)
        may_fail.set()
        errors = [type(call.exception(60)) for call in calls]
    assert errors == [DependencyUnavailableError] * 4 + [type(None)] * 4
    assert len(measured) == 1
    assert reading.read().backlog_of("demo").all_queued.tasks == 0


def test_former_workers_are_read_only_for_unmeasured_models(reading: Reading) -> None:
    reading.reports.publish(knowing("gone", 2.0).leaving(NOW - timedelta(seconds=1)))
    reading.reports.publish(worker_report("new"))
    found = reading.read()
    assert [worker.worker_id for worker in found.workers] == ["new"]
    assert found.gpu_seconds_per_unit("demo") == 2.0
    reading.reports.publish(knowing("new", 1.0))
    reading.clock.advance(2)
    assert reading.read().former_workers == ()


def test_latest_worker_with_measurements_is_read_for_each_unmeasured_model(reading: Reading) -> None:
    reading.reports.publish(knowing("knew", 2.0, alive_until=NOW - timedelta(days=3)))
    for number in range(40):  # workers of other models, or gone before they drew anything
        gone = NOW - timedelta(seconds=number + 1)
        reading.reports.publish(worker_report(f"gone-{number}", alive_until=gone))
    assert reading.read().gpu_seconds_per_unit("demo") == 2.0

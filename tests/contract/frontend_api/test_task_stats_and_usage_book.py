"""The contracts of TaskStats and UsageBook, on the fakes and on Firestore's emulator."""

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from google.api_core.exceptions import ServiceUnavailable
from google.cloud import firestore

from common.adapters import firestore_usage_entries
from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.errors import TaskNotFoundError
from common.domain.task import Failure, Lane, Task, TaskStatus, Usage
from common.ports import TaskStore
from common.wire_formats.task_document import COLLECTION
from frontend_api.adapters.firestore.dead_letter_archive import FirestoreDeadLetterArchive
from frontend_api.adapters.firestore.task_stats import FirestoreTaskStats
from frontend_api.adapters.firestore.usage_book import FirestoreUsageBook
from frontend_api.dead_letters.dead_letter import DeadLetter, DeadMessage
from frontend_api.dead_letters.ports import DeadLetterArchive
from frontend_api.stats.backlog import NO_WORK, ActiveTask, Backlog
from frontend_api.stats.ports import QueueLine, TaskStats
from frontend_api.usage.ports import NO_USAGE, UsageBook, UsageTotals
from tests.contract.outages import assert_each_raises_unavailable
from tests.emulators import Emulators
from tests.factories import NOW, claim_of, parameters, spent, submitted_task
from tests.fakes.in_memory_dead_letter_archive import InMemoryDeadLetterArchive
from tests.fakes.in_memory_task_stats import InMemoryTaskStats
from tests.fakes.in_memory_task_store import InMemoryTaskStore
from tests.fakes.in_memory_usage_book import InMemoryUsageBook

EMPTY = QueueLine(queued=0, oldest_queued_at=None, processing=0, completed_lately=0)
SECOND = timedelta(seconds=1)
TODAY = NOW.date()
MIDNIGHT = datetime.combine(TODAY, time.min, tzinfo=UTC)
DAY = timedelta(days=1)


@dataclass
class Measured:
    """A store, a dead letter archive, and the ports that count them."""

    store: TaskStore
    dead_letters: DeadLetterArchive
    stats: TaskStats
    book: UsageBook

    def queued(
        self, user_id: str = "ada", *, at: datetime = NOW, model: str = "demo", **changes: object
    ) -> Task:
        asked = parameters().model_copy(update={"model": model})
        fields = {"task_id": uuid.uuid4().hex, "user_id": user_id, "now": at, "parameters": asked, **changes}
        return self.store.create(submitted_task(**fields))

    def claimed(self, user_id: str = "ada", *, at: datetime = NOW, model: str = "demo") -> Task:
        task = self.queued(user_id, at=at, model=model)
        return self.store.update(task.id, lambda t: t.claimed_by("worker-1", at, 60 * SECOND))

    def completed(
        self,
        user_id: str = "ada",
        *,
        at: datetime = NOW,
        model: str = "demo",
        useful: float = 2.0,
        wasted: float = 0.0,
    ) -> Task:
        task = self.claimed(user_id, at=at, model=model)
        usage = Usage(inference_seconds=useful, gpu_seconds=useful, wasted_gpu_seconds=wasted)
        return self.store.update(task.id, lambda t: replace(t.completed(claim_of(t), (), at), usage=usage))

    def failed(
        self, user_id: str = "ada", *, at: datetime = NOW, wasted: float = 0.0, code: str = "invalid_output"
    ) -> Task:
        task = self.claimed(user_id, at=at)
        failure = Failure(code=code, message="no image")
        return self.store.update(task.id, lambda t: t.failed(claim_of(t), failure, at, output=spent(wasted)))

    def cancelled(self, user_id: str = "ada", *, at: datetime = NOW) -> Task:
        return self.store.update(self.queued(user_id, at=at).id, lambda t: t.cancelled(at))


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def measured(request: pytest.FixtureRequest) -> Measured:
    if request.param == "fake":
        store, letters = InMemoryTaskStore(), InMemoryDeadLetterArchive()
        stats, book = InMemoryTaskStats(store, letters), InMemoryUsageBook(store)
        return Measured(store=store, dead_letters=letters, stats=stats, book=book)
    emulators: Emulators = request.getfixturevalue("emulators")
    return measured_by(own_client(emulators))


def own_client(emulators: Emulators) -> firestore.Client:
    """Return a client with its own project, so that queries find no documents of other tests."""
    return firestore_client(f"demo-{uuid.uuid4().hex[:12]}", emulator_host=emulators.firestore_host)


def measured_by(client: firestore.Client) -> Measured:
    return Measured(
        store=FirestoreTaskStore(client, timeout_seconds=60),
        dead_letters=FirestoreDeadLetterArchive(client, timeout_seconds=60),
        stats=FirestoreTaskStats(client, timeout_seconds=60),
        book=FirestoreUsageBook(client, timeout_seconds=60),
    )


@pytest.fixture(params=["fake", "emulator"])
def unreachable(
    request: pytest.FixtureRequest, unreachable_firestore: firestore.Client
) -> tuple[TaskStats, UsageBook]:
    if request.param == "fake":
        store = InMemoryTaskStore()
        stats, book = InMemoryTaskStats(store, InMemoryDeadLetterArchive()), InMemoryUsageBook(store)
        stats.unavailable = book.unavailable = True
        return stats, book
    return (
        FirestoreTaskStats(unreachable_firestore, timeout_seconds=0.5),
        FirestoreUsageBook(unreachable_firestore, timeout_seconds=0.5),
    )


def test_every_measure_is_empty_without_tasks(measured: Measured) -> None:
    stats, nothing = measured.stats, dict.fromkeys(Lane, NO_WORK)
    assert stats.line(None, completed_since=NOW) == stats.line("demo", completed_since=NOW) == EMPTY
    assert stats.dead_letters() == 0
    assert stats.backlog("demo", queued_before=NOW) == Backlog(queued=nothing, processing=nothing)
    assert stats.arrived("demo", since=NOW) == stats.finished("demo", since=NOW) == 0
    assert stats.totals(TaskStatus.COMPLETED, since=NOW) == NO_USAGE
    assert not stats.failure_codes(since=NOW, at_most=10)
    assert measured.book.totals_of("ada", [TODAY, TODAY + DAY]) == (NO_USAGE, NO_USAGE)


def test_line_measures_all_models_or_one(measured: Measured) -> None:
    measured.queued(at=NOW + SECOND)
    measured.queued("bob", at=NOW + 2 * SECOND)
    measured.queued(at=NOW, model="another")
    measured.claimed()
    measured.claimed("bob", model="another")
    measured.completed(at=NOW - SECOND)
    measured.completed(at=NOW)
    measured.completed("bob", at=NOW + SECOND, model="another")
    measured.failed(at=NOW, wasted=1.0)
    stats = measured.stats
    assert stats.line(None, completed_since=NOW) == QueueLine(
        queued=3, oldest_queued_at=NOW, processing=2, completed_lately=2
    )
    assert stats.line("demo", completed_since=NOW) == QueueLine(
        queued=2, oldest_queued_at=NOW + SECOND, processing=1, completed_lately=1
    )
    assert stats.line("another", completed_since=NOW + 2 * SECOND) == QueueLine(
        queued=1, oldest_queued_at=NOW, processing=1, completed_lately=0
    )
    assert stats.line("unknown", completed_since=NOW) == EMPTY


def test_backlog_adds_up_the_work_of_a_model_by_lane(measured: Measured) -> None:
    small, large = parameters(), parameters(width=512, height=512, num_images=3)
    for asked in (small, large):
        measured.queued(parameters=asked)
    measured.queued("bob", parameters=large, lane=Lane.BATCH)
    measured.claimed()
    measured.completed()
    measured.queued(model="another")
    measured.queued(at=NOW + SECOND)
    backlog = measured.stats.backlog("demo", queued_before=NOW + SECOND)
    standing = [
        backlog.queued[Lane.INTERACTIVE],
        backlog.queued[Lane.BATCH],
        backlog.processing[Lane.INTERACTIVE],
    ]
    assert [work.tasks for work in standing] == [2, 1, 1]
    assert [work.units for work in standing] == pytest.approx(
        [small.work_units + large.work_units, large.work_units, small.work_units]
    )
    assert backlog.processing[Lane.BATCH] == NO_WORK


def test_active_lists_queued_and_processing_tasks(measured: Measured) -> None:
    queued, claimed = measured.queued(lane=Lane.BATCH), measured.claimed("bob", model="another")
    measured.completed()
    measured.failed(wasted=1.0)
    listed = measured.stats.active(at_most=3)
    assert {task.id: task for task in listed} == {task.id: ActiveTask.of(task) for task in (queued, claimed)}
    assert len(measured.stats.active(at_most=1)) == 1


def test_statuses_omit_deleted_tasks(measured: Measured) -> None:
    tasks = (measured.queued(), measured.claimed(), measured.completed(), measured.failed(wasted=1.0))
    deleted = measured.queued()
    measured.store.delete(deleted.id, now=NOW)
    found = measured.stats.statuses([task.id for task in (*tasks, deleted)])
    assert found == {task.id: task.status for task in tasks}


@pytest.mark.emulator
def test_backlog_counts_documents_without_work_units(emulators: Emulators) -> None:
    client = own_client(emulators)
    store = FirestoreTaskStore(client)
    old, new = (store.create(submitted_task(task_id=uuid.uuid4().hex)) for _ in range(2))
    client.collection(COLLECTION).document(old.id).update({"work_units": firestore.DELETE_FIELD})
    backlog = FirestoreTaskStats(client, timeout_seconds=60).backlog("demo", queued_before=NOW + SECOND)
    assert backlog.queued[Lane.INTERACTIVE].units == pytest.approx(new.parameters.work_units)
    listed = FirestoreTaskStats(client, timeout_seconds=60).active(at_most=20)
    assert {task.id: task.units for task in listed} == {old.id: 0.0, new.id: new.parameters.work_units}


def test_dead_letters_counts_the_stored_letters(measured: Measured) -> None:
    for number in range(3):
        message = DeadMessage(message_id=str(number), published_at=NOW, body=b"junk", attributes={})
        measured.dead_letters.add(DeadLetter.of(message, now=NOW, keep_for=timedelta(days=30)))
    assert measured.stats.dead_letters() == 3


def test_active_of_counts_the_users_queued_and_processing_tasks(measured: Measured) -> None:
    for _ in range(2):
        measured.queued()
    measured.claimed()
    measured.cancelled()
    measured.queued("bob")
    assert measured.stats.active_of("ada", at_most=100) == 3
    assert measured.stats.active_of("carol", at_most=100) == 0


def test_submitted_by_counts_tasks_of_every_status_since_a_time(measured: Measured) -> None:
    for seconds in range(4):
        measured.queued(at=NOW + seconds * SECOND)
    measured.cancelled(at=NOW + 4 * SECOND)
    measured.queued("bob", at=NOW + 9 * SECOND)
    assert measured.stats.submitted_by("ada", since=NOW + 2 * SECOND, at_most=100) == 3
    assert measured.stats.submitted_by("ada", since=NOW + 5 * SECOND, at_most=100) == 0


def test_queued_counts_the_tasks_of_all_users(measured: Measured) -> None:
    measured.queued()
    measured.queued("bob")
    measured.claimed()
    measured.cancelled("bob")
    assert measured.stats.queued(at_most=100) == 2


def test_work_of_sums_the_callers_active_tasks_by_model(measured: Measured) -> None:
    units = measured.queued().parameters.work_units
    measured.claimed()
    measured.claimed(model="another")
    measured.completed(useful=50.0)
    measured.cancelled()
    measured.queued("bob")
    retried = measured.failed(wasted=3.0)
    measured.store.update(retried.id, lambda t: t.resubmitted(NOW))
    found = measured.stats.work_of("ada", ["demo", "another", "unknown"])
    assert {model: work.used_gpu_seconds for model, work in found.items()} == {
        "demo": 3.0, "another": 0.0, "unknown": 0.0,
    }  # fmt: skip
    assert {model: work.units for model, work in found.items()} == pytest.approx(
        {"demo": 3 * units, "another": units, "unknown": 0.0}
    )


def test_counts_stop_at_the_given_maximum(measured: Measured) -> None:
    for _ in range(4):
        measured.queued()
    assert measured.stats.active_of("ada", at_most=3) == 3
    assert measured.stats.submitted_by("ada", since=NOW, at_most=3) == 3
    assert measured.stats.queued(at_most=3) == 3


def test_arrived_counts_tasks_of_every_status(measured: Measured) -> None:
    measured.queued()
    measured.claimed()
    measured.completed(at=NOW + SECOND)
    measured.failed()
    measured.queued(at=NOW - SECOND)
    measured.queued(model="another")
    assert measured.stats.arrived("demo", since=NOW) == 4


def test_finished_counts_tasks_of_every_terminal_status(measured: Measured) -> None:
    measured.completed()
    measured.failed(at=NOW + SECOND)
    measured.cancelled()
    measured.completed(at=NOW - SECOND)
    measured.completed(model="another")
    measured.claimed()
    assert measured.stats.finished("demo", since=NOW) == 3


def test_totals_add_up_the_usage_of_one_status(measured: Measured) -> None:
    measured.completed(wasted=0.5)
    measured.completed(at=NOW + SECOND, model="another")
    measured.completed(at=NOW - SECOND, wasted=100.0)
    measured.failed(wasted=1.5)
    totals = {status: measured.stats.totals(status, since=NOW) for status in TaskStatus if status.is_terminal}
    assert totals == {
        TaskStatus.COMPLETED: UsageTotals(tasks=2, gpu_seconds=4.0, wasted_gpu_seconds=0.5),
        TaskStatus.FAILED: UsageTotals(tasks=1, gpu_seconds=0.0, wasted_gpu_seconds=1.5),
        TaskStatus.CANCELLED: NO_USAGE,
    }
    of_the_second = measured.stats.totals(TaskStatus.COMPLETED, since=NOW, before=NOW + SECOND)
    assert of_the_second == UsageTotals(tasks=1, gpu_seconds=2.0, wasted_gpu_seconds=0.5)


def test_failure_codes_count_the_earliest_failures_up_to_the_maximum(measured: Measured) -> None:
    measured.failed(code="engine_hung", at=NOW + 2 * SECOND)
    measured.failed(code="device_lost", at=NOW + SECOND)
    measured.failed(code="device_lost")
    measured.failed(code="engine_crashed", at=NOW - SECOND)
    measured.completed()
    assert measured.stats.failure_codes(since=NOW, at_most=10) == {"device_lost": 2, "engine_hung": 1}
    assert measured.stats.failure_codes(since=NOW, at_most=2) == {"device_lost": 2}


def test_a_retried_task_counts_as_arrived_and_not_as_failed(measured: Measured) -> None:
    failed = measured.failed()
    measured.store.update(failed.id, lambda t: t.resubmitted(NOW + SECOND))
    assert measured.stats.totals(TaskStatus.FAILED, since=NOW) == NO_USAGE
    assert not measured.stats.failure_codes(since=NOW, at_most=10)
    assert measured.stats.arrived("demo", since=NOW + SECOND) == 1


def test_totals_of_adds_up_the_users_tasks_by_the_day_they_finished(measured: Measured) -> None:
    measured.completed(at=MIDNIGHT - SECOND, useful=100.0)
    measured.completed(at=MIDNIGHT, useful=2.5, wasted=0.25)
    measured.completed(at=NOW, useful=4.0)
    measured.failed(at=MIDNIGHT + DAY - SECOND, wasted=1.5)
    measured.completed(at=MIDNIGHT + DAY, useful=10.0)
    measured.completed("bob", at=NOW, useful=1_000.0)
    measured.claimed(at=NOW)
    assert measured.book.totals_of("ada", [TODAY + DAY, TODAY]) == (
        UsageTotals(tasks=1, gpu_seconds=10.0, wasted_gpu_seconds=0.0),
        UsageTotals(tasks=3, gpu_seconds=6.5, wasted_gpu_seconds=1.75),
    )


@pytest.mark.parametrize("owner", ["ada", "../ada/__x__", "Ä" * 200, "."])
def test_totals_of_still_counts_deleted_tasks(measured: Measured, owner: str) -> None:
    tasks = [
        measured.completed(owner, at=MIDNIGHT, useful=2.5, wasted=0.25),
        measured.failed(owner, at=NOW, wasted=1.5),
        measured.completed(owner, at=MIDNIGHT - SECOND, useful=4.0),
    ]
    measured.completed(owner, at=NOW, useful=8.0)
    days = [TODAY - DAY, TODAY, TODAY + DAY]
    before = measured.book.totals_of(owner, days)
    for task in tasks:
        measured.store.delete(task.id, now=NOW + DAY)
    assert measured.book.totals_of(owner, days) == before
    assert measured.book.totals_of("bob", days) == (NO_USAGE,) * 3


def test_totals_of_counts_unfinished_tasks_on_the_day_of_deletion(
    measured: Measured,
) -> None:
    task = measured.claimed(at=MIDNIGHT - SECOND)
    failure = Failure(code="engine_crashed", message="died", retryable=True)
    measured.store.update(task.id, lambda t: t.released(claim_of(t), failure, NOW, output=spent(1.5)))
    retried = measured.failed(at=MIDNIGHT - SECOND, wasted=2.0)
    measured.store.update(retried.id, lambda t: t.resubmitted(NOW))
    for deleted in (task, retried):
        measured.store.delete(deleted.id, now=NOW)
    assert measured.book.totals_of("ada", [TODAY - DAY, TODAY]) == (
        NO_USAGE,
        UsageTotals(tasks=2, gpu_seconds=0.0, wasted_gpu_seconds=3.5),
    )


def test_totals_of_counts_a_task_once_when_deleted_concurrently(measured: Measured) -> None:
    task, start = measured.completed(useful=2.5), threading.Barrier(8)

    def delete(_: int) -> None:
        start.wait()
        measured.store.delete(task.id, now=NOW)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(delete, range(8)))
    measured.store.delete(task.id, now=NOW)
    once = UsageTotals(tasks=1, gpu_seconds=2.5, wasted_gpu_seconds=0.0)
    assert measured.book.totals_of("ada", [TODAY]) == (once,)


def test_totals_of_counts_each_of_many_concurrent_deletions(measured: Measured) -> None:
    tasks = [measured.completed(useful=1.0) for _ in range(12)]
    with ThreadPoolExecutor(4) as pool:
        for deletion in [pool.submit(measured.store.delete, task.id, now=NOW) for task in tasks]:
            deletion.result()
    total = UsageTotals(tasks=12, gpu_seconds=12.0, wasted_gpu_seconds=0.0)
    assert measured.book.totals_of("ada", [TODAY]) == (total,)


@pytest.mark.emulator
def test_totals_of_counts_a_task_once_when_deleted_between_its_reads(
    emulators: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = own_client(emulators)
    measured = measured_by(client)
    deleted, _kept = (measured.completed(useful=1.0) for _ in range(2))
    read_documents = client.get_all

    def get_all(*arguments: Any, **options: Any) -> list[firestore.DocumentSnapshot]:
        found = list(read_documents(*arguments, **options))
        measured.store.delete(deleted.id, now=NOW)
        return found

    monkeypatch.setattr(client, "get_all", get_all)
    total = UsageTotals(tasks=2, gpu_seconds=2.0, wasted_gpu_seconds=0.0)
    assert measured.book.totals_of("ada", [TODAY]) == (total,)
    with pytest.raises(TaskNotFoundError):
        measured.store.get(deleted.id)
    assert measured.book.totals_of("ada", [TODAY]) == (total,)


def test_totals_of_omits_expired_tasks(measured: Measured) -> None:
    assert measured.store.delete_unchanged(measured.completed(useful=2.5))
    assert measured.book.totals_of("ada", [TODAY]) == (NO_USAGE,)


@pytest.mark.emulator
def test_totals_of_counts_a_deletion_once_when_its_response_is_lost(
    emulators: Emulators, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = own_client(emulators)
    store, book = FirestoreTaskStore(client), FirestoreUsageBook(client, timeout_seconds=60)
    task = store.create(submitted_task())
    commit, answers = store._writes.commit, 0

    def cut_off_once(*writes: object) -> object:
        nonlocal answers
        made = commit(*writes)
        answers += 1
        if answers == 1:
            raise ServiceUnavailable("the connection broke")
        return made

    monkeypatch.setattr(store._writes, "commit", cut_off_once)
    store.delete(task.id, now=NOW)
    assert book.totals_of("ada", [TODAY])[0].tasks == 1
    with pytest.raises(TaskNotFoundError):
        store.get(task.id)


@pytest.mark.emulator
def test_usage_entry_of_deleted_tasks_expires_when_they_would_have(emulators: Emulators) -> None:
    client = own_client(emulators)
    store = FirestoreTaskStore(client)
    for number in range(2):
        task = store.create(submitted_task(task_id=str(number), keep_for=7 * DAY))
        store.update(task.id, lambda t: t.cancelled(NOW))
        store.delete(task.id, now=NOW + DAY)
    (kept,) = client.collection(firestore_usage_entries.COLLECTION).get()
    assert kept.to_dict() == {
        "user_id": "ada",
        "day": TODAY.isoformat(),
        "tasks": 2,
        "gpu_seconds": 0.0,
        "wasted_gpu_seconds": 0.0,
        "expires_at": MIDNIGHT + 8 * DAY,
    }


@pytest.mark.timeout(30)
def test_every_method_raises_within_seconds_when_firestore_is_unreachable(
    unreachable: tuple[TaskStats, UsageBook],
) -> None:
    stats, book = unreachable
    assert_each_raises_unavailable(
        lambda: stats.line(None, completed_since=NOW),
        lambda: stats.line("demo", completed_since=NOW),
        lambda: stats.backlog("demo", queued_before=NOW + SECOND),
        lambda: stats.active(at_most=20),
        lambda: stats.statuses(["task-1"]),
        stats.dead_letters,
        lambda: stats.queued(at_most=1),
        lambda: stats.queued_before("demo", NOW),
        lambda: stats.active_of("ada", at_most=1),
        lambda: stats.work_of("ada", ["demo"]),
        lambda: stats.submitted_by("ada", since=NOW, at_most=1),
        lambda: stats.arrived("demo", since=NOW),
        lambda: stats.finished("demo", since=NOW),
        lambda: stats.totals(TaskStatus.FAILED, since=NOW),
        lambda: stats.failure_codes(since=NOW, at_most=1),
        lambda: book.totals_of("ada", [TODAY]),
    )

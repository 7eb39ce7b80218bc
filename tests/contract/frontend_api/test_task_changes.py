"""The TaskChanges's contract, on the fake and on Firestore's emulator."""

import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from queue import SimpleQueue
from typing import Any

import pytest
from google.cloud.firestore import Client

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.task import Task
from common.ports import TaskStore
from common.wire_formats.task_document import decode_task_document
from frontend_api.adapters.firestore import task_changes
from frontend_api.adapters.firestore.task_changes import FirestoreTaskChanges
from frontend_api.streams.ports import TaskChanges, TaskListSnapshot, TaskSnapshot
from tests.chaos.network import Network
from tests.emulators import Emulators
from tests.factories import NOW, claim_of, submitted_task
from tests.fakes.in_memory_task_changes import InMemoryTaskChanges
from tests.fakes.in_memory_task_store import InMemoryTaskStore

TTL = timedelta(seconds=60)
PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Watched:
    store: TaskStore
    changes: TaskChanges

    def stored_task(self) -> Task:
        return self.store.create(submitted_task(task_id=uuid.uuid4().hex))

    def claimed(self, task: Task) -> Task:
        return self.store.update(task.id, lambda found: found.claimed_by("worker-1", NOW, TTL))

    def cancelled(self, task: Task) -> Task:
        return self.store.update(task.id, lambda found: found.cancelled(NOW))


class Subscriber:
    """Records snapshots in their order."""

    def __init__(self) -> None:
        self._snapshots: SimpleQueue[TaskSnapshot] = SimpleQueue()
        self.on_change = self._snapshots.put

    def next(self) -> Task | None:
        return self._snapshots.get(timeout=PATIENCE_SECONDS).task

    def has_more(self) -> bool:
        return not self._snapshots.empty()


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def watched(request: pytest.FixtureRequest) -> Watched:
    if request.param == "fake":
        fake = InMemoryTaskStore()
        return Watched(fake, InMemoryTaskChanges(fake))
    client = request.getfixturevalue("firestore")
    return Watched(FirestoreTaskStore(client, timeout_seconds=60), FirestoreTaskChanges(client))


def test_change_is_reported_as_stored_and_known_states_are_not(watched: Watched) -> None:
    task, subscriber = watched.stored_task(), Subscriber()
    stop = watched.changes.subscribe(task, subscriber.on_change)
    claimed = watched.claimed(task)
    outcome = subscriber.next()
    assert outcome == claimed == watched.store.get(task.id)
    assert outcome is not None
    assert outcome.revision == claimed.revision
    stop()


def test_outdated_subscriber_is_notified_at_once(watched: Watched) -> None:
    task, subscriber = watched.stored_task(), Subscriber()
    cancelled = watched.cancelled(task)
    stop = watched.changes.subscribe(task, subscriber.on_change)
    assert subscriber.next() == cancelled
    stop()


def test_deletion_is_reported(watched: Watched) -> None:
    task, subscriber = watched.stored_task(), Subscriber()
    stop = watched.changes.subscribe(task, subscriber.on_change)
    watched.store.delete(task.id, now=NOW)
    assert subscriber.next() is None
    stop()


def test_deletion_before_the_subscription_is_reported(watched: Watched) -> None:
    task, subscriber = watched.stored_task(), Subscriber()
    watched.store.delete(task.id, now=NOW)
    stop = watched.changes.subscribe(task, subscriber.on_change)
    assert subscriber.next() is None
    stop()


def test_many_subscribers_of_one_task_stop_independently(watched: Watched) -> None:
    task, first, second, late = watched.stored_task(), Subscriber(), Subscriber(), Subscriber()
    stop_first = watched.changes.subscribe(task, first.on_change)
    stop_second = watched.changes.subscribe(task, second.on_change)
    claimed = watched.claimed(task)
    assert first.next() == second.next() == claimed
    stop_late = watched.changes.subscribe(task, late.on_change)
    assert late.next() == claimed  # either from the cache or from the store
    stop_first()
    watched.store.delete(task.id, now=NOW)
    assert second.next() is None
    assert late.next() is None
    assert not first.has_more()
    stop_second()
    stop_late()


def test_task_can_be_subscribed_again_after_all_stopped(watched: Watched) -> None:
    task, subscriber, again = watched.stored_task(), Subscriber(), Subscriber()
    watched.changes.subscribe(task, subscriber.on_change)()
    claimed = watched.claimed(task)
    stop = watched.changes.subscribe(claimed, again.on_change)
    watched.store.delete(task.id, now=NOW)
    assert again.next() is None
    assert not subscriber.has_more()
    stop()


def test_two_tasks_are_kept_apart(watched: Watched) -> None:
    tasks = [watched.stored_task(), watched.stored_task()]
    subscribers = [Subscriber(), Subscriber()]
    stops = [
        watched.changes.subscribe(task, subscriber.on_change)
        for task, subscriber in zip(tasks, subscribers, strict=True)
    ]
    changed = [watched.claimed(tasks[0]), watched.cancelled(tasks[1])]
    assert [subscriber.next() for subscriber in subscribers] == changed
    for stop in stops:
        stop()


class ListSubscriber:
    """Waits for lists of tasks with an expected content. Intermediate lists may be skipped or sent."""

    def __init__(self) -> None:
        self._snapshots: SimpleQueue[TaskListSnapshot] = SimpleQueue()
        self.on_change = self._snapshots.put

    def wait_for(self, *expected: Task) -> None:
        while self._snapshots.get(timeout=PATIENCE_SECONDS).tasks != expected:
            continue


def newer_task(watched: Watched, *, seconds: float, user_id: str) -> Task:
    created = submitted_task(task_id=uuid.uuid4().hex, now=NOW + timedelta(seconds=seconds), user_id=user_id)
    return watched.store.create(created)


def test_list_reports_the_newest_tasks_of_one_caller(watched: Watched) -> None:
    user = uuid.uuid4().hex
    first, second = (newer_task(watched, seconds=n, user_id=user) for n in range(2))
    newer_task(watched, seconds=9, user_id="another")
    subscriber = ListSubscriber()
    stop = watched.changes.subscribe_to_list(user, 2, subscriber.on_change)
    subscriber.wait_for(second, first)
    third = newer_task(watched, seconds=2, user_id=user)
    subscriber.wait_for(third, second)
    claimed = watched.claimed(second)
    subscriber.wait_for(third, claimed)
    watched.store.delete(third.id, now=NOW)
    subscriber.wait_for(claimed, first)
    stop()


def test_list_without_tasks_is_reported(watched: Watched) -> None:
    user, subscriber, later = uuid.uuid4().hex, ListSubscriber(), ListSubscriber()
    stop = watched.changes.subscribe_to_list(user, 5, subscriber.on_change)
    subscriber.wait_for()
    only = newer_task(watched, seconds=0, user_id=user)
    subscriber.wait_for(only)
    stop_later = watched.changes.subscribe_to_list(user, 5, later.on_change)
    later.wait_for(only)
    stop()
    watched.store.delete(only.id, now=NOW)
    later.wait_for()
    stop_later()


@pytest.fixture
def network() -> Iterator[Network]:
    with Network() as network:
        yield network


@pytest.mark.emulator
def test_changes_during_an_outage_are_reported_afterwards(emulators: Emulators, network: Network) -> None:
    link = network.link(lambda: int(emulators.firestore_host.rpartition(":")[2]))
    project = f"demo-{uuid.uuid4().hex[:12]}"
    here = firestore_client(project, emulator_host=emulators.firestore_host)
    watched = Watched(
        FirestoreTaskStore(here), FirestoreTaskChanges(firestore_client(project, emulator_host=link.host))
    )
    task, other, subscriber, other_subscriber = (
        watched.stored_task(),
        watched.stored_task(),
        Subscriber(),
        Subscriber(),
    )
    stops = [
        watched.changes.subscribe(task, subscriber.on_change),
        watched.changes.subscribe(other, other_subscriber.on_change),
    ]
    claimed = watched.claimed(task)
    assert subscriber.next() == claimed
    link.refuse()
    watched.store.update(task.id, lambda found: found.cancel_requested(NOW))
    watched.store.update(task.id, lambda found: found.cancelled_by_holder(claim_of(found), NOW))
    link.restore()
    assert subscriber.next() == watched.store.get(task.id)  # the newest state, none of the earlier ones
    watched.store.delete(other.id, now=NOW)
    assert other_subscriber.next() is None
    assert not subscriber.has_more()
    for stop in stops:
        stop()


@pytest.mark.emulator
def test_changes_are_reported_after_an_error_of_a_subscriber(firestore: Client) -> None:
    watched = Watched(FirestoreTaskStore(firestore, timeout_seconds=60), FirestoreTaskChanges(firestore))
    task, subscriber = watched.stored_task(), Subscriber()

    def fail(snapshot: TaskSnapshot) -> None:
        subscriber.on_change(snapshot)
        raise ValueError("a fault of the subscriber")

    stop = watched.changes.subscribe(task, fail)
    claimed = watched.claimed(task)
    assert subscriber.next() == claimed
    watched.store.delete(task.id, now=NOW)
    assert subscriber.next() is None
    stop()


@pytest.mark.emulator
def test_task_that_firestore_sends_again_is_decoded_once(
    firestore: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator sends all tasks of a list after each commit."""
    decoded: list[str] = []

    def decode(fields: Mapping[str, Any], *, revision: str) -> Task:
        decoded.append(revision)
        return decode_task_document(fields, revision=revision)

    monkeypatch.setattr(task_changes, "decode_task_document", decode)
    watched = Watched(FirestoreTaskStore(firestore, timeout_seconds=60), FirestoreTaskChanges(firestore))
    user = uuid.uuid4().hex
    tasks = [newer_task(watched, seconds=n, user_id=user) for n in (1, 0)]
    for count in (50, 200):  # lists of different lengths are different queries
        subscriber = ListSubscriber()
        watched.changes.subscribe_to_list(user, count, subscriber.on_change)
        subscriber.wait_for(*tasks)
    assert len(decoded) == len(set(decoded)) == len(tasks)


@pytest.mark.emulator
def test_list_is_complete_after_an_outage(emulators: Emulators, network: Network) -> None:
    link = network.link(lambda: int(emulators.firestore_host.rpartition(":")[2]))
    project, user = f"demo-{uuid.uuid4().hex[:12]}", uuid.uuid4().hex
    here = firestore_client(project, emulator_host=emulators.firestore_host)
    watched = Watched(
        FirestoreTaskStore(here), FirestoreTaskChanges(firestore_client(project, emulator_host=link.host))
    )
    deleted, kept = (newer_task(watched, seconds=n, user_id=user) for n in range(2))
    subscriber = ListSubscriber()
    stop = watched.changes.subscribe_to_list(user, 5, subscriber.on_change)
    subscriber.wait_for(kept, deleted)
    link.refuse()
    watched.store.delete(deleted.id, now=NOW)
    added = newer_task(watched, seconds=2, user_id=user)
    link.restore()
    subscriber.wait_for(added, kept)
    stop()


@pytest.mark.emulator
def test_hundreds_of_tasks_share_one_stream_beside_reads_and_writes(emulators: Emulators) -> None:
    # A connection to the real Firestore carries a hundred concurrent streams; one per task would
    # leave none for writes.
    client = firestore_client(f"demo-{uuid.uuid4().hex[:12]}", emulator_host=emulators.firestore_host)
    watched = Watched(FirestoreTaskStore(client), FirestoreTaskChanges(client))
    tasks, subscriber = [watched.stored_task() for _ in range(150)], Subscriber()
    stops = [watched.changes.subscribe(task, subscriber.on_change) for task in tasks]
    for task in tasks:
        watched.cancelled(task)
    assert {outcome.id for _ in tasks if (outcome := subscriber.next()) is not None} == {
        task.id for task in tasks
    }
    for stop in stops:
        stop()

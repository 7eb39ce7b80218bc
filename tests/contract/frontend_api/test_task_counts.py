"""The TaskCounts' contract, on the fake and on Firestore's emulator."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task
from common.ports import TaskStore
from frontend_api.adapters.firestore.task_counts import FirestoreTaskCounts
from frontend_api.stats.ports import TaskCounts
from local_stack.free_ports import free_port
from tests.emulators import Emulators
from tests.factories import NOW, submitted_task
from tests.fakes.in_memory_task_counts import InMemoryTaskCounts
from tests.fakes.in_memory_task_store import InMemoryTaskStore


@dataclass
class Counted:
    """A store, and the counts over it."""

    store: TaskStore
    counts: TaskCounts

    def task(
        self, user_id: str = "ada", *, second: int = 0, change: Callable[[Task], Task] | None = None
    ) -> None:
        now = NOW + timedelta(seconds=second)
        task = self.store.create(submitted_task(task_id=uuid.uuid4().hex, user_id=user_id, now=now))
        if change is not None:
            self.store.update(task.id, change)


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def counted(request: pytest.FixtureRequest) -> Counted:
    if request.param == "fake":
        fake = InMemoryTaskStore()
        return Counted(store=fake, counts=InMemoryTaskCounts(fake))
    emulators: Emulators = request.getfixturevalue("emulators")
    # A project per test, so that queries find no documents of other tests.
    client = firestore_client(f"demo-{uuid.uuid4().hex[:12]}", emulator_host=emulators.firestore_host)
    return Counted(store=FirestoreTaskStore(client), counts=FirestoreTaskCounts(client, timeout_seconds=10))


@pytest.fixture(params=["fake", "emulator"])
def unreachable(request: pytest.FixtureRequest) -> TaskCounts:
    if request.param == "fake":
        fake = InMemoryTaskCounts(InMemoryTaskStore())
        fake.unavailable = True
        return fake
    nobody = firestore_client("demo-nobody", emulator_host=f"127.0.0.1:{free_port()}")
    return FirestoreTaskCounts(nobody, timeout_seconds=0.5)


def claimed(task: Task) -> Task:
    return task.claimed_by("worker-1", NOW, timedelta(seconds=60))


def cancelled(task: Task) -> Task:
    return task.cancelled(NOW)


def test_active_are_those_that_wait_and_those_that_are_drawn(counted: Counted) -> None:
    for change in (None, None, claimed, cancelled):
        counted.task(change=change)
    counted.task("bob")
    assert counted.counts.active_of("ada", at_most=100) == 3
    assert counted.counts.active_of("nobody", at_most=100) == 0


def test_submitted_are_those_since_a_moment_however_they_ended(counted: Counted) -> None:
    for second in range(5):
        counted.task(second=second, change=cancelled if second == 4 else None)
    counted.task("bob", second=9)
    assert counted.counts.submitted_by("ada", since=NOW + timedelta(seconds=2), at_most=100) == 3
    assert counted.counts.submitted_by("ada", since=NOW + timedelta(seconds=5), at_most=100) == 0


def test_queued_are_everybodys(counted: Counted) -> None:
    for user_id, change in (("ada", None), ("bob", None), ("ada", claimed), ("bob", cancelled)):
        counted.task(user_id, change=change)
    assert counted.counts.queued(100) == 2


def test_a_count_stops_where_it_was_told_to(counted: Counted) -> None:
    for _ in range(4):
        counted.task()
    assert counted.counts.active_of("ada", at_most=3) == 3
    assert counted.counts.submitted_by("ada", since=NOW, at_most=3) == 3
    assert counted.counts.queued(3) == 3


@pytest.mark.timeout(30)
def test_counts_that_cannot_be_had_say_so_within_seconds(unreachable: TaskCounts) -> None:
    calls: list[Callable[[], object]] = [
        lambda: unreachable.active_of("ada", at_most=1),
        lambda: unreachable.submitted_by("ada", since=NOW, at_most=1),
        lambda: unreachable.queued(1),
    ]
    for call in calls:
        with pytest.raises(DependencyUnavailableError):
            call()

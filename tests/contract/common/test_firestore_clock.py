"""The times in Firestore's replies correct a clock; the machine's clock is the reference here."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from google.cloud.firestore import Client

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_clock import FirestoreClock
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.errors import TaskNotFoundError
from common.domain.task import Task
from common.ports import StaleTaskKind
from frontend_api.adapters.dependency_probes import FirestoreProbe
from tests.emulators import Emulators
from tests.factories import submitted_task

pytestmark = pytest.mark.emulator


class WrongClock:
    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(minutes=10)


@pytest.fixture
def client(emulators: Emulators) -> Client:
    return firestore_client(f"demo-{uuid.uuid4().hex[:12]}", emulator_host=emulators.firestore_host)


def read(store: FirestoreTaskStore, task: Task) -> None:
    store.get(task.id)


def read_a_missing_task(store: FirestoreTaskStore, task: Task) -> None:
    with pytest.raises(TaskNotFoundError):
        store.get("missing")


def list_stale_tasks(store: FirestoreTaskStore, task: Task) -> None:
    assert store.list_unattended(StaleTaskKind.UNCLAIMED, before=datetime.now(UTC), limit=10)


def create(store: FirestoreTaskStore, task: Task) -> None:
    store.create(submitted_task(task_id="another"))


def change(store: FirestoreTaskStore, task: Task) -> None:
    store.update(task.id, lambda task: task.labelled({"a": "b"}, datetime.now(UTC)), last_seen=task)


@pytest.mark.parametrize("call", [read, read_a_missing_task, list_stale_tasks, create, change])
def test_every_reply_corrects_the_clock(
    client: Client, call: Callable[[FirestoreTaskStore, Task], None]
) -> None:
    task = FirestoreTaskStore(client).create(submitted_task())
    clock = FirestoreClock(WrongClock())
    store = FirestoreTaskStore(client, clock=clock)
    assert clock.now() - datetime.now(UTC) > timedelta(minutes=9)
    before = datetime.now(UTC)
    call(store, task)
    took = datetime.now(UTC) - before
    assert abs(clock.now() - datetime.now(UTC)) <= took + timedelta(seconds=1)


def test_probe_of_readiness_corrects_the_clock(client: Client) -> None:
    clock = FirestoreClock(WrongClock())
    FirestoreProbe(client=client, clock=clock).check()
    assert abs(clock.now() - datetime.now(UTC)) < timedelta(seconds=4)

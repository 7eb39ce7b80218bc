"""The TaskBatches' contract, on the fake and on Firestore's emulator."""

import uuid
from dataclasses import dataclass, replace

import pytest
from google.cloud.firestore import Client

from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.errors import TaskAlreadyExistsError
from common.domain.task import Task
from common.ports import TaskStore
from frontend_api.adapters.firestore.task_batches import FirestoreTaskBatches
from frontend_api.tasks.ports import TaskBatches
from tests.contract.outages import assert_each_raises_unavailable
from tests.factories import NOW, submitted_task
from tests.fakes.in_memory_task_batches import InMemoryTaskBatches
from tests.fakes.in_memory_task_store import InMemoryTaskStore


@dataclass
class Arranged:
    """Batches, the store of the same tasks, and batches that are unreachable."""

    batches: TaskBatches
    store: TaskStore
    broken: TaskBatches


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def arranged(request: pytest.FixtureRequest, unreachable_firestore: Client) -> Arranged:
    if request.param == "fake":
        unavailable_store = InMemoryTaskStore()
        unavailable_store.unavailable = True
        store = InMemoryTaskStore()
        return Arranged(InMemoryTaskBatches(store), store, InMemoryTaskBatches(unavailable_store))
    client = request.getfixturevalue("firestore")
    return Arranged(
        FirestoreTaskBatches(client, timeout_seconds=60),
        FirestoreTaskStore(client, timeout_seconds=60),
        FirestoreTaskBatches(unreachable_firestore, timeout_seconds=1),
    )


def new_tasks(count: int) -> list[Task]:
    return [submitted_task(task_id=uuid.uuid4().hex, labels={"team": "a & b"}) for _ in range(count)]


def test_created_tasks_are_in_the_store(arranged: Arranged) -> None:
    tasks = new_tasks(100)
    created = arranged.batches.create(tasks)
    assert list(created) == tasks
    assert dict(arranged.batches.get([task.id for task in tasks])) == {task.id: task for task in tasks}
    first = created[0]
    assert isinstance(first, Task)
    assert arranged.store.get(first.id).revision == first.revision


def test_used_id_is_refused_and_the_others_are_stored(arranged: Arranged) -> None:
    old, new = new_tasks(2)
    arranged.store.create(old)
    refused, created = arranged.batches.create([replace(old, user_id="mallory"), new])
    assert isinstance(refused, TaskAlreadyExistsError)
    assert created == new
    assert arranged.store.get(old.id).user_id == old.user_id


def test_missing_tasks_are_omitted(arranged: Arranged) -> None:
    (task,) = new_tasks(1)
    arranged.store.create(task)
    assert set(arranged.batches.get([task.id, "missing"])) == {task.id}


def test_update_writes_only_unchanged_tasks(arranged: Arranged) -> None:
    unchanged, changed, deleted = (arranged.store.create(task) for task in new_tasks(3))
    cancelled = arranged.store.update(changed.id, lambda task: task.cancelled(NOW))
    arranged.store.delete(deleted.id, now=NOW)
    written, *others = arranged.batches.update_unchanged(
        [unchanged, changed, deleted], lambda task: task.enqueued(NOW)
    )
    assert others == [None, None]
    assert written is not None
    assert written == arranged.store.get(unchanged.id)
    assert written.enqueued_at == NOW
    assert arranged.store.get(changed.id) == cancelled


def test_batches_raise_when_unreachable(arranged: Arranged) -> None:
    (task,) = new_tasks(1)
    assert_each_raises_unavailable(
        lambda: arranged.broken.create([task]), lambda: arranged.broken.get([task.id])
    )

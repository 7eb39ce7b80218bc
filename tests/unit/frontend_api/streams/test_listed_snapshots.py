"""The tasks of lists are serialized once, one after the other."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier, BrokenBarrierError, Event

import pytest

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task
from frontend_api.streams.listed_snapshots import ListedSnapshots
from frontend_api.tasks.rendering import Snapshot
from tests.factories import submitted_task
from tests.fakes.in_memory_task_store import InMemoryTaskStore

STREAMS = 8


@pytest.fixture
def task() -> Task:
    return InMemoryTaskStore().create(submitted_task())


def test_task_is_serialized_once_for_streams_that_wake_together(task: Task) -> None:
    woken, rendered = Barrier(STREAMS), []

    def render(task: Task) -> Snapshot:
        rendered.append(task)
        return Snapshot(json="{}", etag="1", is_last=False)

    snapshots = ListedSnapshots(render)

    def ask(_: int) -> Snapshot:
        woken.wait()
        return snapshots.of(task)

    with ThreadPoolExecutor(STREAMS) as pool:
        assert len({id(snapshot) for snapshot in pool.map(ask, range(STREAMS))}) == 1
    assert rendered == [task]


def test_tasks_of_many_streams_are_serialized_one_after_the_other() -> None:
    store = InMemoryTaskStore()
    tasks = [store.create(submitted_task(task_id=f"task-{number}")) for number in range(2)]
    together = Barrier(len(tasks))

    def render(task: Task) -> Snapshot:
        with pytest.raises(BrokenBarrierError):
            together.wait(0.2)
        return Snapshot(json=task.id, etag=task.id, is_last=False)

    snapshots = ListedSnapshots(render)
    with ThreadPoolExecutor(len(tasks)) as pool:
        assert [each.json for each in pool.map(snapshots.of, tasks)] == [task.id for task in tasks]


def test_known_task_does_not_wait_for_the_serialization_of_another(task: Task) -> None:
    other = replace(task, id="other")
    begun, goes_on = Event(), Event()

    def render(rendered: Task) -> Snapshot:
        if rendered is other:
            begun.set()
            assert goes_on.wait(60)
        return Snapshot(json=rendered.id, etag="1", is_last=False)

    snapshots = ListedSnapshots(render)
    known = snapshots.of(task)
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(snapshots.of, other)
        assert begun.wait(60)
        assert snapshots.of(task) is known
        goes_on.set()
        assert slow.result(60).json == "other"


def test_memory_of_kept_tasks_is_limited_whatever_their_characters() -> None:
    """Python stores a text with one emoji in four bytes a character."""
    text = "\N{LOWER LEFT PAINTBRUSH}" + "x" * 1_000_000
    snapshots = ListedSnapshots(lambda task: Snapshot(json=text + task.id, etag="1", is_last=False))
    tasks = [replace(submitted_task(task_id=str(number)), revision="1") for number in range(9)]
    first = snapshots.of(tasks[0])
    for task in tasks:
        snapshots.of(task)
    assert snapshots.of(tasks[0]) is not first


def test_task_is_serialized_again_after_a_failure(task: Task) -> None:
    attempts = []

    def render(task: Task) -> Snapshot:
        attempts.append(task)
        if len(attempts) == 1:
            raise DependencyUnavailableError("firestore")
        return Snapshot(json="{}", etag="1", is_last=False)

    snapshots = ListedSnapshots(render)
    with pytest.raises(DependencyUnavailableError):
        snapshots.of(task)
    assert snapshots.of(task).etag == "1"

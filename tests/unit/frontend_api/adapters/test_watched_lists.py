"""The lists of tasks that streams share."""

from itertools import count

import pytest

from common.domain.task import Task
from frontend_api.adapters.firestore.watched_list import ListSubscriber, WatchedList, WatchedLists
from frontend_api.streams.ports import TaskListSnapshot
from tests.factories import submitted_task


class Streams:
    """Subscribers of lists, at a time that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.lists = WatchedLists(now=lambda: self.now)
        self.targets = count(1)
        self.reported: list[tuple[str, ...]] = []

    def open(self, length: int, *, user_id: str = "ada") -> tuple[WatchedList, ListSubscriber]:
        watched, _ = self.lists.of(user_id, length, new_target=lambda: next(self.targets))
        subscriber = ListSubscriber(length, self._report)
        watched.add(subscriber)
        return watched, subscriber

    def _report(self, snapshot: TaskListSnapshot) -> None:
        self.reported.append(tuple(task.id for task in snapshot.tasks))

    @property
    def opened_targets(self) -> int:
        return next(self.targets) - 1


@pytest.fixture
def streams() -> Streams:
    return Streams()


def filled(watched: WatchedList, tasks: int) -> list[Task]:
    own = [submitted_task(task_id=f"task-{number}") for number in range(tasks)]
    for task in own:
        watched.put(task.id, task)
    watched.set_current()
    return own


def test_streams_of_any_length_cause_a_few_targets_per_caller(streams: Streams) -> None:
    for length in range(1, 1_001):
        streams.open(length)
    assert streams.opened_targets == 3


def test_stream_gets_its_length_of_a_shared_list(streams: Streams) -> None:
    watched, _ = streams.open(2)
    filled(watched, 3)
    streams.open(1)
    assert streams.reported == [("task-2", "task-1"), ("task-2",)]


def test_callers_share_no_list(streams: Streams) -> None:
    assert streams.open(5)[0] is not streams.open(5, user_id="bob")[0]


def test_list_is_shared_with_a_caller_that_connects_again(streams: Streams) -> None:
    for _ in range(100):
        streams.lists.leave(*streams.open(1_000))
        streams.now += 29
        assert streams.lists.remove_idle() == ()
    assert streams.opened_targets == 1


def test_list_ends_some_time_after_its_last_subscriber(streams: Streams) -> None:
    watched, first = streams.open(5)
    _, last = streams.open(5)
    streams.lists.leave(watched, first)
    streams.now += 60
    assert streams.lists.remove_idle() == ()
    for _ in range(2):
        streams.lists.leave(watched, last)
    streams.now += 30
    assert streams.lists.remove_idle() == (watched,)
    assert not streams.lists

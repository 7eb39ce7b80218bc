"""The slots for waiting requests, and their connections."""

import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from common.domain.task import Task
from frontend_api.streams.connection import ClientConnection, Heard
from frontend_api.streams.subscriptions import Follower, FollowTask, NoPlaceLeftError
from tests.factories import NOW, submitted_task
from tests.fakes.in_memory_task_store import InMemoryTaskStore
from tests.fakes.in_memory_task_watch import InMemoryTaskWatch

LONG = 30.0
AT_ONCE = 0.0


@pytest.fixture
def store() -> InMemoryTaskStore:
    return InMemoryTaskStore()


@pytest.fixture
def task(store: InMemoryTaskStore) -> Task:
    return store.create(submitted_task())


@pytest.fixture
def follow_task(store: InMemoryTaskStore) -> FollowTask:
    return FollowTask(watch=InMemoryTaskWatch(store), most=2)


@pytest.fixture
def follower(follow_task: FollowTask, task: Task) -> Iterator[Follower]:
    with follow_task(task) as follower:
        yield follower


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield the server's and the caller's end of a connection."""
    server, caller = socket.socketpair()
    with server, caller:
        yield server, caller


def fill(server: socket.socket) -> None:
    """Send until the connection accepts no more."""
    server.setblocking(False)
    with suppress(BlockingIOError):
        while server.send(b"x" * 65_536):
            continue


def drain(caller: socket.socket) -> None:
    """Read until no data is left."""
    caller.setblocking(False)
    with suppress(BlockingIOError):
        while caller.recv(1 << 20):
            continue


def change(store: InMemoryTaskStore, task: Task, times: int = 1) -> Task:
    for _ in range(times):
        task = store.update(task.id, lambda found: found.enqueued(NOW))
    return task


def test_news_wake_the_waiting_and_the_newest_is_taken(
    store: InMemoryTaskStore, task: Task, follower: Follower
) -> None:
    nobody = ClientConnection({})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(nobody.wait, follower, LONG)
        newest = change(store, task, times=5)
        assert waiting.result(10) is Heard.NEWS
    taken = follower.take()
    assert taken is not None
    assert taken.task is not None
    # The thread may have woken at the first of the five: it takes the newest by then; the rest
    # follow.
    if taken.task.revision != newest.revision:
        assert nobody.wait(follower, AT_ONCE) is Heard.NEWS
        taken = follower.take()
    assert taken is not None
    assert taken.task == newest
    assert nobody.wait(follower, AT_ONCE) is Heard.NOTHING
    assert follower.take() is None


def test_a_caller_who_hangs_up_is_noticed_while_nothing_happens(
    follower: Follower, ends: tuple[socket.socket, socket.socket]
) -> None:
    server, caller = ends
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ClientConnection({"gunicorn.socket": server}).wait, follower, LONG)
        caller.close()
        assert waiting.result(10) is Heard.CALLER_GONE


def test_what_a_caller_says_is_heard_by_those_who_listen_only(
    follower: Follower, ends: tuple[socket.socket, socket.socket]
) -> None:
    server, caller = ends
    connection = ClientConnection({"gunicorn.socket": server})
    caller.send(b"hello")
    assert connection.wait(follower, AT_ONCE + 0.01) is Heard.NOTHING
    assert connection.wait(follower, LONG, listening=True) is Heard.CALLER_SPEAKS


def test_news_wait_for_a_caller_who_does_not_read_and_grow_old_in_nobodys_hands(
    store: InMemoryTaskStore, task: Task, follower: Follower, ends: tuple[socket.socket, socket.socket]
) -> None:
    server, caller = ends
    fill(server)
    connection = ClientConnection({"gunicorn.socket": server})
    change(store, task)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(connection.wait, follower, LONG)
        newest = change(store, task, times=3)
        assert not waiting.done()
        drain(caller)
        assert waiting.result(10) is Heard.NEWS
    taken = follower.take()
    assert taken is not None
    assert taken.task == newest


def test_there_are_so_many_places_and_one_given_back_can_be_taken_again(
    follow_task: FollowTask, task: Task, follower: Follower
) -> None:
    second = follow_task(task)
    with pytest.raises(NoPlaceLeftError):
        follow_task(task)
    second.close()
    second.close()
    follow_task(task).close()
    follower.close()


def test_when_the_process_stops_nobody_waits_any_longer_now_or_later(
    store: InMemoryTaskStore, follow_task: FollowTask, task: Task, follower: Follower
) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ClientConnection({}).wait, follower, LONG)
        follow_task.end_all()
        assert waiting.result(10) is Heard.MUST_END
    change(store, task)
    assert ClientConnection({}).wait(follower, LONG) is Heard.MUST_END
    with follow_task(task) as late:
        assert ClientConnection({}).wait(late, LONG) is Heard.MUST_END


def test_news_may_come_while_a_place_is_given_back(
    store: InMemoryTaskStore, task: Task, follow_task: FollowTask
) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            change(store, task)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        for _ in range(200):
            follow_task(task).close()
        stop.set()
        writing.result(10)
    assert store.observers == []

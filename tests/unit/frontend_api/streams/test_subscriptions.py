"""The slots for waiting requests, and their connections."""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import pytest

from common.domain.task import Task
from frontend_api.streams.connection import ClientConnection, WaitOutcome
from frontend_api.streams.subscriptions import (
    Subscription,
    Subscriptions,
    TooManyListStreamsError,
    TooManyWaitingError,
)
from tests.factories import NOW, submitted_task
from tests.fakes.in_memory_task_changes import InMemoryTaskChanges
from tests.fakes.in_memory_task_store import InMemoryTaskStore

LONG = 30.0
AT_ONCE = 0.0


@pytest.fixture
def store() -> InMemoryTaskStore:
    return InMemoryTaskStore()


@pytest.fixture
def task(store: InMemoryTaskStore) -> Task:
    return store.create(submitted_task())


@pytest.fixture
def subscriptions(store: InMemoryTaskStore) -> Subscriptions:
    return Subscriptions(changes=InMemoryTaskChanges(store), limit=2, limit_per_caller=2, lists_per_caller=2)


@pytest.fixture
def subscription(subscriptions: Subscriptions, task: Task) -> Iterator[Subscription]:
    with closing(subscriptions.reserve(task.user_id)) as subscription:
        subscription.start(task)
        yield subscription


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


def taken_from(subscription: Subscription) -> Task:
    taken = subscription.take()
    assert taken is not None
    assert taken.task is not None
    return taken.task


def test_wait_ends_with_a_change_and_the_newest_state_is_taken(
    store: InMemoryTaskStore, task: Task, subscription: Subscription
) -> None:
    connection = ClientConnection({})
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(connection.wait, subscription, LONG)
        newest = change(store, task, times=5)
        assert waiting.result(60) is WaitOutcome.CHANGED
    taken = taken_from(subscription)
    # The thread may have woken at the first of the five: it takes the newest by then; the rest
    # follow.
    if taken.revision != newest.revision:
        assert connection.wait(subscription, AT_ONCE) is WaitOutcome.CHANGED
        taken = taken_from(subscription)
    assert taken == newest
    assert connection.wait(subscription, AT_ONCE) is WaitOutcome.TIMEOUT
    assert subscription.take() is None


def test_changes_in_quick_succession_are_reported_after_a_pause(
    store: InMemoryTaskStore,
    task: Task,
    subscription: Subscription,
    ends: tuple[socket.socket, socket.socket],
) -> None:
    """Else the streams of one caller would use the processor time of all."""
    connection = ClientConnection({"gunicorn.socket": ends[0]}, pause_seconds=0.2)
    change(store, task)
    assert connection.wait(subscription, LONG) is WaitOutcome.CHANGED
    began = time.monotonic()
    taken_from(subscription)
    newest = change(store, task, times=5)
    assert connection.wait(subscription, LONG) is WaitOutcome.CHANGED
    assert time.monotonic() - began > 0.15
    assert taken_from(subscription) == newest


def test_pause_ends_when_the_caller_disconnects(
    store: InMemoryTaskStore,
    task: Task,
    subscription: Subscription,
    ends: tuple[socket.socket, socket.socket],
) -> None:
    connection = ClientConnection({"gunicorn.socket": ends[0]}, pause_seconds=LONG)
    change(store, task)
    assert connection.wait(subscription, LONG) is WaitOutcome.CHANGED
    change(store, task)
    ends[1].close()
    assert connection.wait(subscription, LONG) is WaitOutcome.DISCONNECTED


def test_wait_ends_when_the_caller_disconnects(
    subscription: Subscription, ends: tuple[socket.socket, socket.socket]
) -> None:
    server, caller = ends
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ClientConnection({"gunicorn.socket": server}).wait, subscription, LONG)
        caller.close()
        assert waiting.result(60) is WaitOutcome.DISCONNECTED


def test_wait_ends_with_client_data_only_when_data_is_accepted(
    subscription: Subscription, ends: tuple[socket.socket, socket.socket]
) -> None:
    server, caller = ends
    connection = ClientConnection({"gunicorn.socket": server})
    caller.send(b"hello")
    assert connection.wait(subscription, AT_ONCE + 0.01) is WaitOutcome.TIMEOUT
    assert connection.wait(subscription, LONG, accepts_data=True) is WaitOutcome.CLIENT_DATA


def test_change_waits_for_a_slow_reader_and_is_replaced_by_newer_ones(
    store: InMemoryTaskStore,
    task: Task,
    subscription: Subscription,
    ends: tuple[socket.socket, socket.socket],
) -> None:
    server, caller = ends
    fill(server)
    connection = ClientConnection({"gunicorn.socket": server})
    change(store, task)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(connection.wait, subscription, LONG)
        newest = change(store, task, times=3)
        assert not waiting.done()
        drain(caller)
        assert waiting.result(60) is WaitOutcome.CHANGED
    assert taken_from(subscription) == newest


def test_subscriptions_are_limited_and_reusable(
    subscriptions: Subscriptions, task: Task, subscription: Subscription
) -> None:
    second = subscriptions.reserve(task.user_id)
    with pytest.raises(TooManyWaitingError):
        subscriptions.reserve(task.user_id)
    second.close()
    second.close()
    subscriptions.reserve(task.user_id).close()
    subscription.close()


def test_caller_holds_at_most_its_share(store: InMemoryTaskStore, task: Task) -> None:
    subscriptions = Subscriptions(
        changes=InMemoryTaskChanges(store), limit=3, limit_per_caller=2, lists_per_caller=2
    )
    own = [subscriptions.reserve(task.user_id) for _ in range(2)]
    with pytest.raises(TooManyWaitingError, match="you already wait 2 times"):
        subscriptions.reserve(task.user_id)
    subscriptions.reserve("another caller").close()
    own.pop().close()
    subscriptions.reserve(task.user_id).close()
    own.pop().close()


def test_caller_holds_fewer_subscriptions_to_lists(store: InMemoryTaskStore, task: Task) -> None:
    changes = InMemoryTaskChanges(store)
    subscriptions = Subscriptions(changes=changes, limit=9, limit_per_caller=9, lists_per_caller=2)
    own = [subscriptions.reserve(task.user_id, for_list=True) for _ in range(2)]
    with pytest.raises(TooManyListStreamsError, match="you already have 2 event streams"):
        subscriptions.reserve(task.user_id, for_list=True)
    own.append(subscriptions.reserve(task.user_id))
    own.append(subscriptions.reserve("another caller", for_list=True))
    own.pop(0).close()
    own.append(subscriptions.reserve(task.user_id, for_list=True))
    for subscription in own:
        subscription.close()


def test_waits_end_when_the_process_stops(
    store: InMemoryTaskStore, subscriptions: Subscriptions, task: Task, subscription: Subscription
) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ClientConnection({}).wait, subscription, LONG)
        subscriptions.shut_down()
        assert waiting.result(60) is WaitOutcome.SHUTTING_DOWN
    change(store, task)
    assert ClientConnection({}).wait(subscription, LONG) is WaitOutcome.SHUTTING_DOWN
    with closing(subscriptions.reserve(task.user_id)) as late:
        assert ClientConnection({}).wait(late, LONG) is WaitOutcome.SHUTTING_DOWN


def test_subscription_closes_while_changes_arrive(
    store: InMemoryTaskStore, task: Task, subscriptions: Subscriptions
) -> None:
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            change(store, task)

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        for _ in range(200):
            with closing(subscriptions.reserve(task.user_id)) as subscription:
                subscription.start(task)
        stop.set()
        writing.result(60)
    assert store.observers == []

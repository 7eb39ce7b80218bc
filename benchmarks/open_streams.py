"""Effect of open event streams on submissions: POSTs with no streams and with 500.

The streams are idle, or receive changes: each follows a task of its own, or all follow one task.
"""

import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from itertools import cycle

import psutil

from benchmarks.measurement import percentile, ratios, repeating
from benchmarks.prompts import PROMPTS
from benchmarks.whole_system import api_process, running_system, steady_submissions
from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.task import Task
from tests.system_client import SystemClient

STREAMS = 500
ROUNDS = 3
SUBMISSIONS = 100
SUBMISSIONS_PER_SECOND = 10
_NONE = "no streams"
_IDLE = f"{STREAMS} idle streams"
_MANY_TASKS = f"{STREAMS} streams of as many tasks, 10 changes per second"
_ONE_TASK = f"{STREAMS} streams of one task, 1 change per second"
CHANGES_PER_SECOND = {_MANY_TASKS: 10.0, _ONE_TASK: 1.0}
_UNLIMITED = {"DARKROOM_MAX_ACTIVE_TASKS": "0", "DARKROOM_MAX_SUBMISSIONS_PER_MINUTE": "0"}


class Listeners:
    """Many open streams, read by one thread as events arrive."""

    def __init__(self, port: int, task_ids: list[str]) -> None:
        self.events = 0
        self._all_started = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._started: set[socket.socket] = set()
        self._connections = [self._open(port, task_id) for task_id in task_ids]
        self._thread = threading.Thread(target=self._read, name="listeners")
        self._thread.start()
        if not self._all_started.wait(60):
            raise TimeoutError(f"{len(self._started)} of {len(task_ids)} streams started")

    def _open(self, port: int, task_id: str) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port))
        request = f"GET /v1/tasks/{task_id}/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.sendall(request.encode())
        self._selector.register(connection, selectors.EVENT_READ)
        return connection

    def _read(self) -> None:
        while self._selector.get_map():
            for key, _ in self._selector.select():
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                received = connection.recv(1 << 16)
                if not received:
                    self._selector.unregister(connection)
                    continue
                self.events += received.count(b"event: task")
                if b"event: task" in received:
                    self._started.add(connection)
                if len(self._started) == len(self._connections):
                    self._all_started.set()

    def close(self) -> None:
        for connection in self._connections:
            connection.shutdown(socket.SHUT_WR)
        self._thread.join()
        for connection in self._connections:
            connection.close()


def run() -> Iterator[str]:
    durations: dict[str, list[list[float]]] = {_NONE: [], _IDLE: [], _MANY_TASKS: [], _ONE_TASK: []}
    events = {_MANY_TASKS: 0, _ONE_TASK: 0}
    with running_system(workers=0, extra_environment=_UNLIMITED) as (stack, client):
        port, api = stack.ports["api"], api_process(stack)
        store = FirestoreTaskStore(
            firestore_client(
                stack.environment["DARKROOM_PROJECT_ID"],
                emulator_host=stack.environment["FIRESTORE_EMULATOR_HOST"],
            )
        )
        task_ids = [client.submit(PROMPTS[0], seed=number) for number in range(STREAMS)]
        size_without = _size(api)
        for _ in range(ROUNDS):
            durations[_NONE].append(_submissions(client))
            with closing(Listeners(port, task_ids)):
                durations[_IDLE].append(_submissions(client))
            for name, followed in ((_MANY_TASKS, task_ids), (_ONE_TASK, task_ids[:1] * STREAMS)):
                with closing(Listeners(port, followed)) as listeners:
                    events_before = listeners.events
                    with repeating(_writer(store, followed), every_seconds=1 / CHANGES_PER_SECOND[name]):
                        durations[name].append(_submissions(client))
                    events[name] += listeners.events - events_before
                    size_with = _size(api)
    p99s = {name: [percentile(each, 99) for each in rounds] for name, rounds in durations.items()}
    for name, rounds in durations.items():
        every = [value for each in rounds for value in each]
        yield (
            f"POST with {name}: median {percentile(every, 50):.1f} ms, p99 {percentile(every, 99):.1f} ms; "
            f"p99 {ratios(p99s[name], p99s[_NONE]).format(' x')} that without streams"
        )
    for name, count in events.items():
        yield f"events received, {name}: {count}"
    yield f"the API's process without streams: {size_without}; with {STREAMS}: {size_with}"


def _submissions(client: SystemClient) -> list[float]:
    return steady_submissions(client, count=SUBMISSIONS, per_second=SUBMISSIONS_PER_SECOND)


def _writer(store: FirestoreTaskStore, task_ids: list[str]) -> Callable[[], object]:
    """Return a function that changes the tasks' owner-visible fields, one task per call."""
    rotation = cycle(task_ids)

    def advance(task: Task) -> Task:
        return replace(task, progress=replace(task.progress, step=time.monotonic_ns() // 1_000_000))

    return lambda: store.update(next(rotation), advance)


def _size(process: psutil.Process) -> str:
    return f"{process.memory_info().rss >> 20} MB, {process.num_threads()} threads"

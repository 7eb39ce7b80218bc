"""Effect of open event streams on submissions: POSTs with no streams and with 500, in each round of one run.

The streams are idle, or receive changes: each follows a task of its own, or all follow one, which wakes all at once.
"""

import selectors
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path

import psutil

from benchmarks.measurement import percentile, spread_of
from benchmarks.prompts import PROMPTS
from benchmarks.whole_system import steady_submissions
from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.task import Task
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.system_client import SystemClient

STREAMS = 500
ROUNDS = 3
SUBMISSIONS = 100
SUBMISSIONS_PER_SECOND = 10
_WITHOUT = "no streams"
_SILENT = f"{STREAMS} silent streams"
_TELLING = f"{STREAMS} streams of as many tasks, 10 changes a second"
_CROWD = f"{STREAMS} streams of one task, a change a second"
CHANGES_PER_SECOND = {_TELLING: 10.0, _CROWD: 1.0}
_UNLIMITED = {"DARKROOM_MAX_ACTIVE_TASKS": "0", "DARKROOM_MAX_SUBMISSIONS_PER_MINUTE": "0"}


class Listeners:
    """Many open streams, read by one thread as events arrive."""

    def __init__(self, port: int, task_ids: list[str]) -> None:
        self.events = 0
        self._all_began = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._began: set[socket.socket] = set()
        self._connections = [self._opened(port, task_id) for task_id in task_ids]
        self._thread = threading.Thread(target=self._read, name="listeners")
        self._thread.start()
        if not self._all_began.wait(60):
            raise TimeoutError(f"{len(self._began)} of {len(task_ids)} streams began")

    def _opened(self, port: int, task_id: str) -> socket.socket:
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
                    self._began.add(connection)
                if len(self._began) == len(self._connections):
                    self._all_began.set()

    def close(self) -> None:
        for connection in self._connections:
            connection.shutdown(socket.SHUT_WR)
        self._thread.join()
        for connection in self._connections:
            connection.close()


def _further(task: Task) -> Task:
    """Change the owner-visible fields, to a value that is always new."""
    return replace(task, progress=replace(task.progress, step=time.monotonic_ns() // 1_000_000))


@contextmanager
def _changing(store: FirestoreTaskStore, task_ids: list[str], *, per_second: float) -> Iterator[None]:
    """Write to the tasks in rotation, as workers do, while the block runs."""
    over = threading.Event()

    def change() -> None:
        number = 0
        while not over.wait(1 / per_second):
            store.update(task_ids[number % len(task_ids)], _further)
            number += 1

    thread = threading.Thread(target=change, name="changing")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _submissions(client: SystemClient) -> list[float]:
    return steady_submissions(client, count=SUBMISSIONS, per_second=SUBMISSIONS_PER_SECOND)


def _api_worker(stack: LocalStack) -> psutil.Process:
    (worker,) = psutil.Process(stack.process("api").pid).children()
    return worker


def run() -> list[str]:
    measured: dict[str, list[list[float]]] = {_WITHOUT: [], _SILENT: [], _TELLING: [], _CROWD: []}
    told = {_TELLING: 0, _CROWD: 0}
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        settings = StackSettings(data_directory=folder, workers=0, extra_environment=_UNLIMITED)
        stack = exits.enter_context(LocalStack(settings))
        assert stack.page_url is not None
        client = exits.enter_context(SystemClient(stack.page_url, stack.environment))
        port, worker = stack.ports["api"], _api_worker(stack)
        store = FirestoreTaskStore(
            firestore_client(
                stack.environment["DARKROOM_PROJECT_ID"],
                emulator_host=stack.environment["FIRESTORE_EMULATOR_HOST"],
            )
        )
        followed = [client.submit(PROMPTS[0], seed=number) for number in range(STREAMS)]
        without = _size(worker)
        for _ in range(ROUNDS):
            measured[_WITHOUT].append(_submissions(client))
            with closing(Listeners(port, followed)):
                measured[_SILENT].append(_submissions(client))
            for name, tasks in ((_TELLING, followed), (_CROWD, followed[:1] * STREAMS)):
                with closing(Listeners(port, tasks)) as listeners:
                    began_with = listeners.events
                    with _changing(store, tasks, per_second=CHANGES_PER_SECOND[name]):
                        measured[name].append(_submissions(client))
                    told[name] += listeners.events - began_with
                    beside = _size(worker)
    lines = [_said(name, rounds, yardstick=measured[_WITHOUT]) for name, rounds in measured.items()]
    lines += [f"events told meanwhile, {name}: {count}" for name, count in told.items()]
    return [*lines, f"the API's process without streams: {without}; beside {STREAMS}: {beside}"]


def _said(name: str, rounds: list[list[float]], *, yardstick: list[list[float]]) -> str:
    every = [value for each in rounds for value in each]
    ratios = [
        percentile(each, 99) / percentile(base, 99) for each, base in zip(rounds, yardstick, strict=True)
    ]
    return (
        f"POST beside {name}: median {percentile(every, 50):.1f} ms, p99 {percentile(every, 99):.1f} ms; "
        f"p99 {spread_of(ratios).said(' x')} that without"
    )


def _size(worker: psutil.Process) -> str:
    return f"{worker.memory_info().rss >> 20} MB, {worker.num_threads()} threads"


if __name__ == "__main__":
    print("\n".join(run()))

"""FirestoreTaskChanges: one Listen stream for all tasks and lists that requests of this process follow.

The client library's `on_snapshot` opens a stream and two threads per document. A connection to
Firestore carries at most 100 concurrent streams, so following a 101st task would block every read
and write. Here each task and each list is a target of one shared stream.
"""

import itertools
import threading
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any

import structlog
from cachetools import LRUCache
from google.api_core import exceptions as google_errors
from google.cloud import firestore
from google.cloud.firestore_v1 import _helpers as firestore_values
from google.cloud.firestore_v1.types import ListenRequest, ListenResponse, TargetChange

from common.adapters.firestore_revisions import revision_of, update_time_of
from common.backoff import Backoff
from common.domain.task import Task
from common.wire_formats.task_document import COLLECTION, decode_task_document
from common.wire_formats.versions import UndecodableError
from frontend_api.adapters.firestore.watched_list import ListSubscriber, WatchedList, WatchedLists
from frontend_api.streams.ports import TaskListSnapshot, TaskSnapshot

_log = structlog.get_logger(__name__)
_KEPT_BYTES = 4 * 1024 * 1024
"""Of the documents of tasks that Firestore may send again: for several lists, after a reset, or on a new
stream. They are about 2,000 tasks, and some times as many bytes when they are decoded.
"""
_Requests = SimpleQueue[ListenRequest | None]


@dataclass(slots=True, kw_only=True, eq=False)
class _Subscriber:
    on_change: Callable[[TaskSnapshot], None]
    latest: tuple[int, int]

    def notify(self, snapshot: TaskSnapshot, written_at: tuple[int, int]) -> None:
        if written_at > self.latest:
            self.latest = written_at
            self.on_change(snapshot)


@dataclass(slots=True, kw_only=True)
class _WatchedTask:
    """A document, its target on the stream, and its subscribers."""

    target_id: int
    subscribers: list[_Subscriber] = field(default_factory=list)
    latest: TaskSnapshot | None = None
    written_at: tuple[int, int] = (0, 0)
    """When Firestore wrote `latest`: seconds and nanoseconds."""


class FirestoreTaskChanges:
    """The TaskChanges of production and, through the emulator, of the local stack. Thread-safe.

    The thread starts with the first subscriber. After a broken stream, the adapter opens a new one with
    all targets. Firestore then sends the current state of each document, and subscribers that already
    have that state are not called again.
    """

    def __init__(self, client: firestore.Client) -> None:
        self._client = client
        self._root = f"{client._database_string}/documents"
        self._documents = f"{self._root}/{COLLECTION}"
        self._lock = threading.Lock()
        self._watched: dict[str, _WatchedTask] = {}
        """By full document name."""
        self._lists = WatchedLists()
        self._target_ids = itertools.count(1)
        self._requests: _Requests = SimpleQueue()
        self._decoded: LRUCache[tuple[str, str], tuple[Task, int]] = LRUCache(
            _KEPT_BYTES, getsizeof=lambda kept: kept[1]
        )
        """With their bytes, by document name and revision. Only the stream's thread uses it."""
        self._is_wanted = threading.Event()
        self._thread: threading.Thread | None = None

    def subscribe(self, task: Task, on_change: Callable[[TaskSnapshot], None]) -> Callable[[], None]:
        name = f"{self._documents}/{task.id}"
        subscriber = _Subscriber(on_change=on_change, latest=_written_at(task.revision))
        with self._lock:
            watched = self._watched.get(name) or self._watch(name)
            watched.subscribers.append(subscriber)
            if watched.latest is not None:
                subscriber.notify(watched.latest, watched.written_at)
            self._ensure_thread()
        return partial(self._unsubscribe, name, subscriber)

    def subscribe_to_list(
        self, user_id: str, count: int, on_change: Callable[[TaskListSnapshot], None]
    ) -> Callable[[], None]:
        subscriber = ListSubscriber(count, on_change)
        with self._lock:
            self._remove_idle_lists()
            watched, is_new = self._lists.of(user_id, count, new_target=partial(next, self._target_ids))
            if is_new:
                self._add_target(self._list_target(watched))
            watched.add(subscriber)
            self._ensure_thread()
        return partial(self._unsubscribe_from_list, watched, subscriber)

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._listen, name="task-changes", daemon=True)
            self._thread.start()

    def _watch(self, name: str) -> _WatchedTask:
        watched = self._watched[name] = _WatchedTask(target_id=next(self._target_ids))
        self._add_target(self._document_target(name, watched))
        return watched

    def _add_target(self, addition: ListenRequest) -> None:
        self._requests.put(addition)
        self._is_wanted.set()

    def _remove_target(self, target_id: int) -> None:
        self._requests.put(ListenRequest(database=self._client._database_string, remove_target=target_id))
        if not self._watched and not self._lists:
            self._is_wanted.clear()

    def _unsubscribe(self, name: str, subscriber: _Subscriber) -> None:
        with self._lock:
            watched = self._watched.get(name)
            if watched is None or subscriber not in watched.subscribers:
                return
            watched.subscribers.remove(subscriber)
            if not watched.subscribers:
                del self._watched[name]
                self._remove_target(watched.target_id)

    def _unsubscribe_from_list(self, watched: WatchedList, subscriber: ListSubscriber) -> None:
        with self._lock:
            self._lists.leave(watched, subscriber)
            self._remove_idle_lists()

    def _remove_idle_lists(self) -> None:
        for watched in self._lists.remove_idle():
            self._remove_target(watched.target_id)

    def _document_target(self, name: str, watched: _WatchedTask) -> ListenRequest:
        target = {"target_id": watched.target_id, "documents": {"documents": [name]}}
        return ListenRequest(database=self._client._database_string, add_target=target)

    def _list_target(self, watched: WatchedList) -> ListenRequest:
        query = {"parent": self._root, "structured_query": watched.query(COLLECTION)}
        target = {"target_id": watched.target_id, "query": query}
        return ListenRequest(database=self._client._database_string, add_target=target)

    # ── methods that run on the stream's thread ───────────────────────────────────────────────────

    def _listen(self) -> None:
        backoff = Backoff(first_seconds=0.2, max_seconds=5.0, jitter=True)
        while True:
            self._is_wanted.wait()
            try:
                for response in self._open_stream():
                    self._receive(ListenResponse.pb(response))
                    backoff.reset()
            except Exception as exc:  # whatever its cause: all subscribers depend on this thread
                is_expected = isinstance(exc, google_errors.GoogleAPICallError)
                _log.warning("task_changes_interrupted", error=type(exc).__name__, exc_info=not is_expected)
            time.sleep(backoff.next_pause())

    def _open_stream(self) -> Any:
        with self._lock:
            self._remove_idle_lists()
            self._requests.put(None)  # ends the gRPC sender thread of the previous stream
            self._requests = SimpleQueue()
            for name, watched in self._watched.items():
                self._requests.put(self._document_target(name, watched))
            for listed in self._lists:
                listed.reset()
                self._requests.put(self._list_target(listed))
            requests = self._requests
        # retry=None: a retry would send only the requests that the first call has not consumed.
        return self._client._firestore_api.listen(
            requests=iter(requests.get, None),
            retry=None,
            timeout=None,
            metadata=self._client._rpc_metadata,
        )

    def _receive(self, response: Any) -> None:
        with self._lock:
            self._remove_idle_lists()
        match response.WhichOneof("response_type"):
            case "document_change":
                self._receive_document(response.document_change)
            case "document_delete":
                deleted = response.document_delete
                self._remove_from_lists(deleted)
                self._notify(
                    deleted.document, _written_at(revision_of(deleted.read_time)), TaskSnapshot(task=None)
                )
            case "document_remove":
                self._remove_from_lists(response.document_remove)
            case "target_change":
                self._receive_target_change(response.target_change)

    def _receive_document(self, change: Any) -> None:
        document, revision = change.document, revision_of(change.document.update_time)
        try:
            task = self._decode(document, revision)
        except UndecodableError as exc:
            _log.error("watched_task_undecodable", document=document.name, reason=exc.reason)
            return
        with self._lock:
            for watched in self._lists_of(change.target_ids):
                watched.put(document.name, task)
            for watched in self._lists_of(change.removed_target_ids):
                watched.remove(document.name)
        self._notify(document.name, _written_at(revision), TaskSnapshot(task=task))

    def _decode(self, document: Any, revision: str) -> Task:
        key = (document.name, revision)
        if (kept := self._decoded.get(key)) is not None:
            return kept[0]
        # As the library's own listener does.
        fields: Any = firestore_values.decode_dict(document.fields, self._client)
        task = decode_task_document(fields, revision=revision)
        self._decoded[key] = (task, document.ByteSize())
        return task

    def _remove_from_lists(self, change: Any) -> None:
        with self._lock:
            for watched in self._lists_of(change.removed_target_ids):
                watched.remove(change.document)

    def _lists_of(self, target_ids: Container[int]) -> Iterable[WatchedList]:
        return [watched for watched in self._lists if watched.target_id in target_ids]

    def _notify(self, name: str, written_at: tuple[int, int], snapshot: TaskSnapshot) -> None:
        with self._lock:
            watched = self._watched.get(name)
            if watched is None or written_at <= watched.written_at:
                return
            watched.latest, watched.written_at = snapshot, written_at
            for subscriber in watched.subscribers:
                subscriber.notify(snapshot, written_at)

    def _receive_target_change(self, change: Any) -> None:
        """Note which lists are complete.

        Raise, so that the stream is reopened, when Firestore removed a target with subscribers.
        """
        kinds = TargetChange.TargetChangeType
        with self._lock:
            affected = self._lists_of(change.target_ids) if change.target_ids else self._lists
            if change.target_change_type == kinds.CURRENT:
                for watched in affected:
                    watched.set_current()
            elif change.target_change_type == kinds.RESET:
                for watched in affected:
                    watched.reset()
            elif change.target_change_type == kinds.REMOVE:
                targets = {watched.target_id for watched in self._watched.values()}
                targets |= {watched.target_id for watched in self._lists}
                if targets.intersection(change.target_ids):
                    raise google_errors.from_grpc_status(change.cause.code, change.cause.message)


def _written_at(revision: str | None) -> tuple[int, int]:
    update_time = update_time_of(revision or "0.0")
    return update_time.seconds, update_time.nanos

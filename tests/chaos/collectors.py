"""Collect the evidence directly from Firestore, the bucket and a subscription."""

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import tenacity
from google.api_core import exceptions as google_errors

from common.adapters.firestore_client import firestore_client
from common.domain.task import Task
from common.wire_formats.task_document import COLLECTION, decode_task_document
from common.wire_formats.task_event import TaskEvent, decode_task_event
from gpu_subscriber.adapters.pubsub_subscriber import subscriber_client
from local_stack.provisioning import ResourceNames
from tools.integrity.deployment import object_of
from tools.integrity.evidence import StoredObject

_AT_ONCE = 50
_FEW = 20
_PULL_SECONDS = 5.0


class EventMailbox:
    """Receives every event of every task, as a consumer of the topic does, on its own thread."""

    def __init__(self, pubsub_host: str, names: ResourceNames) -> None:
        self._client = subscriber_client(emulator_host=pubsub_host)
        self._subscription = self._client.subscription_path(names.project_id, names.events_subscription)
        self._events: list[TaskEvent] = []
        self._finished: set[str] = set()
        self._arrived = threading.Condition()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._receive, name="mailbox", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join(2 * _PULL_SECONDS)

    def events_of(self, task_ids: Iterable[str]) -> tuple[TaskEvent, ...]:
        """Return all events received for these tasks so far, including duplicates."""
        wanted = set(task_ids)
        with self._arrived:
            return tuple(event for event in self._events if event.task_id in wanted)

    def wait_for(self, task_ids: Iterable[str], *, timeout_seconds: float) -> bool:
        """Wait for an event of each of these tasks. Return whether they arrived in time."""
        wanted = set(task_ids)
        with self._arrived:
            return self._arrived.wait_for(lambda: wanted <= self._finished, timeout_seconds)

    def wait_for_copies(self, task_id: str, copies: int, *, timeout_seconds: float) -> bool:
        """Wait for this many events of the task. Return whether they arrived in time."""

        def arrived() -> int:
            return sum(event.task_id == task_id for event in self._events)

        with self._arrived:
            return self._arrived.wait_for(lambda: arrived() >= copies, timeout_seconds)

    def count_finished(self, task_ids: Iterable[str]) -> int:
        """Return the number of these tasks for which an event has arrived."""
        with self._arrived:
            return len(self._finished & set(task_ids))

    def _receive(self) -> None:
        while not self._closing.is_set():
            try:
                response = self._client.pull(
                    subscription=self._subscription, max_messages=500, timeout=_PULL_SECONDS, retry=None
                )
                received = response.received_messages
                if received:
                    self._record([decode_task_event(one.message.data) for one in received])
                    self._client.acknowledge(
                        subscription=self._subscription, ack_ids=[one.ack_id for one in received], timeout=5
                    )
            except google_errors.GoogleAPICallError:  # the emulator is being killed or is restarting
                self._closing.wait(0.2)

    def _record(self, events: list[TaskEvent]) -> None:
        with self._arrived:
            self._events += events
            self._finished |= {event.task_id for event in events}
            self._arrived.notify_all()


class Documents:
    def __init__(self, firestore_host: str, names: ResourceNames) -> None:
        self.client = firestore_client(names.project_id, emulator_host=firestore_host)
        self._tasks = self.client.collection(COLLECTION)

    def of(self, task_ids: Iterable[str]) -> Mapping[str, Task]:
        """Return the existing ones of these tasks, by id."""
        wanted = list(task_ids)
        return {
            task.id: task
            for first in range(0, len(wanted), _AT_ONCE)
            for task in self._read(wanted[first : first + _AT_ONCE])
        }

    @tenacity.retry(
        retry=tenacity.retry_if_exception_type(google_errors.ServerError),
        stop=tenacity.stop_after_attempt(10),
        wait=tenacity.wait_random_exponential(max=10),
        reraise=True,
    )
    def _read(self, task_ids: Sequence[str]) -> list[Task]:
        """Read with retries: under load the emulator may exceed a stream's deadline."""
        references = [self._tasks.document(task_id) for task_id in task_ids]
        snapshots = self.client.get_all(references, timeout=60)
        return [decode_task_document(content) for each in snapshots if (content := each.to_dict())]

    def raw(self, task_id: str) -> dict[str, Any]:
        return dict(self._tasks.document(task_id).get(timeout=60).to_dict() or {})

    def write(self, task_id: str, fields: Mapping[str, Any]) -> None:
        """Write fields, by path, bypassing all rules."""
        self._tasks.document(task_id).update(dict(fields), timeout=60)


class Objects:
    def __init__(self, storage_url: str, names: ResourceNames) -> None:
        self._http = httpx.Client(base_url=storage_url, timeout=60)
        self._bucket = names.images_bucket

    def close(self) -> None:
        self._http.close()

    def of(self, task_ids: Iterable[str]) -> Mapping[str, StoredObject]:
        """Return all objects of these tasks by name, each read completely."""
        wanted = set(task_ids)
        # One complete listing is cheaper than many small ones, because each scans the whole bucket.
        prefixes = [f"tasks/{task_id}/" for task_id in wanted] if len(wanted) < _FEW else ["tasks/"]
        names = [name for prefix in prefixes for name in self._names(prefix) if name.split("/")[1] in wanted]
        with ThreadPoolExecutor(4) as pool:
            return {stored.name: stored for stored in pool.map(self._read_object, names)}

    def _names(self, prefix: str) -> Iterator[str]:
        token = ""
        while True:
            response = self._http.get(
                f"/storage/v1/b/{self._bucket}/o", params={"prefix": prefix, "pageToken": token}
            )
            page = response.raise_for_status().json()
            yield from (item["name"] for item in page.get("items", []))
            token = page.get("nextPageToken", "")
            if not token:
                return

    @tenacity.retry(  # a busy server may close the connection that it kept alive
        retry=tenacity.retry_if_exception_type(httpx.TransportError),
        stop=tenacity.stop_after_attempt(5),
        wait=tenacity.wait_random_exponential(max=5),
        reraise=True,
    )
    def _read_object(self, name: str) -> StoredObject:
        response = self._http.get(f"/{self._bucket}/{name}").raise_for_status()
        return object_of(name, response.content, response.headers["content-type"])

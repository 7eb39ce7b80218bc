"""SystemClient: a running local stack as a client sees it, over HTTP, and Firestore's listener to wait with."""

import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import httpx
from google.cloud.firestore_v1.base_query import FieldFilter

from common.adapters.firestore_client import firestore_client
from common.domain.task import Phase, Task, TaskStatus
from common.wire_formats.task_document import COLLECTION, decode_task_document

_BY_ANOTHER_CLIENT = datetime(2000, 1, 1, tzinfo=UTC)
"""When a task was submitted that this client knows nothing of: at some time or other."""


class SystemClient:
    """Submits over HTTP and watches the task's document; never polls, never sleeps."""

    def __init__(self, page_url: str, environment: Mapping[str, str]) -> None:
        self.http = httpx.Client(base_url=page_url, timeout=30)
        self._submitted_at: dict[str, datetime] = {}
        self._firestore = firestore_client(
            environment["DARKROOM_PROJECT_ID"], emulator_host=environment["FIRESTORE_EMULATOR_HOST"]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self._firestore.close()

    def submit(self, prompt: str, **fields: Any) -> str:
        """Submit a task and return its id."""
        now = datetime.now(UTC)
        answer = self.http.post("/v1/tasks", json={"prompt": prompt, **fields})
        assert answer.status_code == 202, answer.text
        task_id = str(answer.json()["id"])
        self._submitted_at.setdefault(task_id, now)
        return task_id

    def wait_until(
        self, task_id: str, holds: Callable[[Task], bool], *, timeout_seconds: float = 120.0
    ) -> Task:
        """Block until the stored task satisfies `holds`; raises TimeoutError naming how it stands."""
        found: list[Task] = []
        latest: list[Task] = []
        done = threading.Event()

        def look(documents: list[Any], _changes: object, _time: object) -> None:
            for document in documents:
                if document.exists:
                    latest[:] = [decode_task_document(document.to_dict())]
                    if holds(latest[0]) and not found:
                        found.append(latest[0])
                        done.set()

        watch = self._firestore.collection(COLLECTION).document(task_id).on_snapshot(look)
        try:
            if not done.wait(timeout_seconds):
                stands = (
                    f"{latest[0].status}, {latest[0].progress}, {latest[0].failure}" if latest else "unknown"
                )
                raise TimeoutError(f"task {task_id} after {timeout_seconds:g} s: {stands}")
        finally:
            watch.unsubscribe()
        return found[0]

    def wait_until_drawn(self, task_id: str, *, step: int = 1, attempt: int = 1) -> Task:
        """Block until the stored task tells of this step of this attempt, or of a later one."""
        return self.wait_until(
            task_id,
            lambda task: (
                task.attempt >= attempt
                and task.progress.phase is Phase.DENOISING
                and task.progress.step >= step
            ),
        )

    def wait_for_end(self, task_id: str, *, timeout_seconds: float = 120.0) -> Task:
        """Block until the task is terminal."""
        return self.wait_until(task_id, lambda task: task.status.is_terminal, timeout_seconds=timeout_seconds)

    def wait_for_all(self, task_ids: list[str], *, timeout_seconds: float = 300.0) -> dict[str, Task]:
        """Block until all of these tasks are terminal."""
        ended: dict[str, Task] = {}
        done = threading.Event()
        wanted = set(task_ids)

        def look(_documents: object, changes: list[Any], _time: object) -> None:
            for document in (change.document for change in changes):
                if document.id in wanted:
                    ended[document.id] = decode_task_document(document.to_dict())
            if wanted <= ended.keys():
                done.set()

        # Only these tasks' ends: Firestore's Python listener sorts all that it holds anew with each change, and one
        # that heard of every step of every task would keep a core busy by itself.
        terminal = [status.value for status in TaskStatus if status.is_terminal]
        since = min(self._submitted_at.get(each, _BY_ANOTHER_CLIENT) for each in wanted)
        watch = (
            self._firestore.collection(COLLECTION)
            .where(filter=FieldFilter("status", "in", terminal))
            .where(filter=FieldFilter("created_at", ">=", since))
            .on_snapshot(look)
        )
        try:
            if not done.wait(timeout_seconds):
                raise TimeoutError(f"{len(wanted - ended.keys())} of {len(wanted)} tasks have not ended")
        finally:
            watch.unsubscribe()
        return ended

    def webhook_secrets(self) -> list[str]:
        """What the local user's webhooks are signed with now."""
        answer = self.http.get("/v1/webhook-secrets").raise_for_status().json()
        return [one["secret"] for one in answer["secrets"]]

    def image(self, task_id: str, index: int = 0) -> bytes:
        """The bytes of a finished image, as the API gives them."""
        answer = self.http.get(f"/v1/tasks/{task_id}/images/{index}", follow_redirects=True)
        assert answer.status_code == 200, answer.text
        return answer.content

    def completed(self, prompt: str, **fields: Any) -> Task:
        """Submit, wait, and insist on success."""
        task = self.wait_for_end(self.submit(prompt, **fields))
        assert task.status is TaskStatus.COMPLETED, task.failure
        return task

"""SystemClient: a client of a running local stack, which submits over HTTP and waits with a
Firestore listener.
"""

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from functools import partial
from types import TracebackType
from typing import Any, Self

import httpx

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.task import Phase, Task, TaskStatus
from frontend_api.adapters.firestore.task_changes import FirestoreTaskChanges
from frontend_api.streams.ports import TaskSnapshot

_PATIENCE_SECONDS = 60.0
"""Sufficient also when a test stalls Firestore."""


class SystemClient:
    """Submits over HTTP and follows the task's document, without polling or sleeping."""

    def __init__(self, page_url: str, environment: Mapping[str, str]) -> None:
        self.http = httpx.Client(base_url=page_url, timeout=30)
        self._firestore = firestore_client(
            environment["DARKROOM_PROJECT_ID"], emulator_host=environment["FIRESTORE_EMULATOR_HOST"]
        )
        self._store = FirestoreTaskStore(self._firestore, timeout_seconds=_PATIENCE_SECONDS)
        self._changes = FirestoreTaskChanges(self._firestore)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self._firestore.close()

    def submit(self, prompt: str, **fields: Any) -> str:
        """Submit a task and return its id."""
        answer = self.http.post("/v1/tasks", json={"prompt": prompt, **fields})
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def wait_until(
        self, task_id: str, holds: Callable[[Task], bool], *, timeout_seconds: float = 240.0
    ) -> Task:
        """Block until the stored task satisfies `holds`. Raises TimeoutError with the task's state."""
        return self._wait([task_id], holds, timeout_seconds)[task_id]

    def wait_until_drawn(self, task_id: str, *, step: int = 1, attempt: int = 1) -> Task:
        """Block until the stored task reports this step of this attempt, or a later one."""
        return self.wait_until(
            task_id,
            lambda task: (
                task.attempt >= attempt
                and task.progress.phase is Phase.DENOISING
                and task.progress.step >= step
            ),
        )

    def wait_for_end(self, task_id: str, *, timeout_seconds: float = 240.0) -> Task:
        """Block until the task is terminal."""
        return self.wait_until(task_id, lambda task: task.status.is_terminal, timeout_seconds=timeout_seconds)

    def wait_for_all(self, task_ids: list[str], *, timeout_seconds: float = 240.0) -> dict[str, Task]:
        """Block until all of these tasks are terminal."""
        return self._wait(task_ids, lambda task: task.status.is_terminal, timeout_seconds)

    def _wait(
        self, task_ids: Iterable[str], holds: Callable[[Task], bool], timeout_seconds: float
    ) -> dict[str, Task]:
        latest = {task_id: self._store.get(task_id) for task_id in task_ids}
        found = {task_id: task for task_id, task in latest.items() if holds(task)}
        done = threading.Event()

        def look(task_id: str, snapshot: TaskSnapshot) -> None:
            if snapshot.task is None or task_id in found:
                return
            latest[task_id] = snapshot.task
            if holds(snapshot.task):
                found[task_id] = snapshot.task
                if found.keys() == latest.keys():
                    done.set()

        with ExitStack() as following:
            for task_id in latest.keys() - found.keys():
                following.callback(self._changes.subscribe(latest[task_id], partial(look, task_id)))
            if found.keys() != latest.keys() and not done.wait(timeout_seconds):
                missing = {
                    task_id: f"followed: {_state_of(task)}; stored: {_state_of(self._store.get(task_id))}"
                    for task_id, task in latest.items()
                    if task_id not in found
                }
                raise TimeoutError(f"after {timeout_seconds:g} s {len(missing)} of {len(latest)}: {missing}")
        return found

    def webhook_secrets(self) -> list[str]:
        """Return the current webhook secrets of the local user."""
        answer = self.http.get("/v1/webhook-secrets").raise_for_status().json()
        return [one["secret"] for one in answer["secrets"]]

    def image(self, task_id: str, index: int = 0) -> bytes:
        """Return the bytes of a finished image from the API."""
        answer = self.http.get(f"/v1/tasks/{task_id}/images/{index}", follow_redirects=True)
        assert answer.status_code == 200, answer.text
        return answer.content

    def completed(self, prompt: str, **fields: Any) -> Task:
        """Submit, wait, and assert success."""
        task = self.wait_for_end(self.submit(prompt, **fields))
        assert task.status is TaskStatus.COMPLETED, task.failure
        return task


def _state_of(task: Task) -> str:
    return f"{task.status}, attempt {task.attempt}, {task.progress}, {task.failure}"

"""InMemoryInputStore and InMemoryInputUses: inputs in a dictionary, and the tasks that use them."""

import threading
from dataclasses import replace
from datetime import datetime, timedelta

from common.domain.inputs import input_object_name
from common.ports import Clock
from frontend_api.inputs.delete import DeleteInput
from frontend_api.inputs.ports import InputExistsError
from frontend_api.inputs.stored_input import InputNotFoundError, StoredInput
from frontend_api.inputs.use import UseInputs
from tests.fakes.in_memory_task_store import InMemoryTaskStore
from tests.fakes.outage import Outage


class InMemoryInputStore(Outage):
    """An InputStore for tests; `inputs` and `contents` are by object name."""

    service = "storage"

    def __init__(self) -> None:
        self.inputs: dict[str, StoredInput] = {}
        self.contents: dict[str, bytes] = {}
        self._changes = 0
        self._lock = threading.RLock()

    def create(self, stored: StoredInput, content: bytes) -> StoredInput:
        with self._lock:
            self._check()
            if stored.object_name in self.inputs:
                raise InputExistsError
            self.contents[stored.object_name] = content
            return self._put(stored)

    def get(self, object_name: str) -> StoredInput:
        with self._lock:
            self._check()
            if object_name not in self.inputs:
                raise InputNotFoundError(object_name.rpartition("/")[2])
            return self.inputs[object_name]

    def read(self, stored: StoredInput) -> bytes:
        with self._lock:
            self.get(stored.object_name)
            return self.contents[stored.object_name]

    def keep(self, stored: StoredInput, *, until: datetime, for_tasks: bool) -> StoredInput:
        with self._lock:
            current = self.get(stored.object_name)
            later = max(until, current.expires_at + timedelta(milliseconds=1))
            return self._put(replace(current, expires_at=later, is_kept=current.is_kept or for_tasks))

    def withdraw(self, stored: StoredInput) -> StoredInput:
        with self._lock:
            current = self.get(stored.object_name)
            return self._put(replace(current, is_kept=False)) if current.is_kept else current

    def delete_unchanged(self, stored: StoredInput) -> bool:
        with self._lock:
            self._check()
            current = self.inputs.get(stored.object_name)
            if current is not None and current.revision != stored.revision:
                return False
            self.inputs.pop(stored.object_name, None)
            self.contents.pop(stored.object_name, None)
            return True

    def bytes_in(self, folder: str, *, each_at_least: int) -> int:
        with self._lock:
            self._check()
            own = [content for name, content in self.contents.items() if name.startswith(folder)]
            return sum(max(len(content), each_at_least) for content in own)

    def list_expired(self, *, now: datetime) -> tuple[StoredInput, ...]:
        with self._lock:
            self._check()
            return tuple(stored for stored in self.inputs.values() if stored.expires_at <= now)

    def _put(self, stored: StoredInput) -> StoredInput:
        self._changes += 1
        written = replace(stored, revision=str(self._changes))
        self.inputs[stored.object_name] = written
        return written


class InMemoryInputUses:
    """InputUses for tests, over the tasks of a store."""

    def __init__(self, tasks: InMemoryTaskStore) -> None:
        self._tasks = tasks

    def is_used(self, object_name: str) -> bool:
        return any(
            object_name == input_object_name(task.user_id, input_id)
            for task in self._tasks.all_tasks
            for input_id in task.parameters.inputs.values()
        )


def no_inputs(clock: Clock) -> UseInputs:
    """Return the use of inputs by tasks of which none has any."""
    store = InMemoryInputStore()
    delete = DeleteInput(store=store, uses=InMemoryInputUses(InMemoryTaskStore()))
    return UseInputs(store=store, delete=delete, clock=clock, keep_for=timedelta(days=1))

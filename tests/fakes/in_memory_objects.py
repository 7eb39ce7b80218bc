"""InMemoryImageWriter and InMemoryCheckpointStore: the worker's bucket in dictionaries."""

import threading
from collections.abc import Mapping

from common.domain.errors import DependencyUnavailableError
from gpu_subscriber.errors import ObjectConflictError
from gpu_subscriber.ports import Checkpoint


class InMemoryImageWriter:
    """An ImageWriter for tests. Set `failures_left` to have that many writes fail as an unreachable bucket does."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.failures_left = 0
        self._lock = threading.Lock()

    def write(self, object_name: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> None:
        with self._lock:
            if self.failures_left > 0:
                self.failures_left -= 1
                raise DependencyUnavailableError("cloud_storage")
            if self.objects.setdefault(object_name, data) != data:
                raise ObjectConflictError(object_name)


class InMemoryCheckpointStore:
    """A CheckpointStore for tests. Set `unavailable` to have every call fail."""

    def __init__(self) -> None:
        self._checkpoints: dict[str, dict[int, Checkpoint]] = {}
        self.unavailable = False
        self.calls = 0

    def save(self, task_id: str, checkpoint: Checkpoint) -> None:
        self._check()
        self._checkpoints.setdefault(task_id, {})[checkpoint.index] = checkpoint

    def load(self, task_id: str) -> Mapping[int, Checkpoint]:
        self._check()
        return dict(self._checkpoints.get(task_id, {}))

    def discard(self, task_id: str) -> None:
        self._check()
        self._checkpoints.pop(task_id, None)

    def _check(self) -> None:
        self.calls += 1
        if self.unavailable:
            raise DependencyUnavailableError("cloud_storage")

"""InMemoryImageWriter, InMemoryCheckpointStore, InMemoryInputReader: the worker's bucket in dictionaries."""

import threading
from collections.abc import Collection, Mapping

from common.domain.errors import DependencyUnavailableError
from gpu_subscriber.engine.messages import MAX_CHECKPOINT_BYTES
from gpu_subscriber.errors import ObjectConflictError, UnreadableImageError
from gpu_subscriber.ports import Checkpoint


class InMemoryImageWriter:
    """An ImageWriter for tests.

    `failures_left` is the number of calls that fail as with an unreachable bucket.
    """

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.failures_left = 0
        self._lock = threading.Lock()

    def write(self, object_name: str, data: bytes, *, content_type: str, metadata: Mapping[str, str]) -> None:
        with self._lock:
            if self.failures_left > 0:
                self.failures_left -= 1
                raise DependencyUnavailableError("storage")
            if self.objects.setdefault(object_name, data) != data:
                raise ObjectConflictError(object_name)

    def remove_attempts(self, folder: str, *, up_to: int, keep: Collection[str] = ()) -> int:
        with self._lock:
            if self.failures_left > 0:
                self.failures_left -= 1
                raise DependencyUnavailableError("storage")
            prefix = f"{folder}attempt-"
            numbers = {
                name: name.removeprefix(prefix).partition("/")[0]
                for name in self.objects
                if name.startswith(prefix) and name not in keep
            }
            found = [name for name, number in numbers.items() if number.isdecimal() and int(number) <= up_to]
            for name in found:
                del self.objects[name]
            return len(found)


class InMemoryInputReader:
    """An InputReader for tests. With `unavailable` every call fails."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.unavailable = False

    def read(self, object_name: str, *, max_bytes: int) -> bytes | None:
        if self.unavailable:
            raise DependencyUnavailableError("storage")
        data = self.objects.get(object_name)
        if data is not None and len(data) > max_bytes:
            raise UnreadableImageError(f"the file is larger than {max_bytes:,} bytes")
        return data


class InMemoryCheckpointStore:
    """A CheckpointStore for tests. With `unavailable` every call fails."""

    def __init__(self, *, max_bytes: int = MAX_CHECKPOINT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._checkpoints: dict[str, dict[int, Checkpoint]] = {}
        self.unavailable = False
        self.calls = 0

    def save(self, folder: str, checkpoint: Checkpoint) -> None:
        self._check()
        self._checkpoints.setdefault(folder, {})[checkpoint.index] = checkpoint

    def load(self, folder: str) -> Mapping[int, Checkpoint]:
        self._check()
        kept = self._checkpoints.get(folder, {})
        return {
            index: checkpoint
            for index, checkpoint in kept.items()
            if len(checkpoint.state) <= self._max_bytes
        }

    def discard(self, folder: str) -> None:
        self._check()
        self._checkpoints.pop(folder, None)

    def _check(self) -> None:
        self.calls += 1
        if self.unavailable:
            raise DependencyUnavailableError("storage")

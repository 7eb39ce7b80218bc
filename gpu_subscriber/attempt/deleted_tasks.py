"""Removal of what workers have stored for a task after its deletion."""

import threading
import time
from collections.abc import Callable, MutableMapping

from cachetools import TTLCache

from common.domain.errors import DependencyUnavailableError
from common.wire_formats.task_message import TaskMessage
from gpu_subscriber.attempt.checkpoints import CheckpointKeeper
from gpu_subscriber.images.storage import ImageStorage
from gpu_subscriber.ports import Delivery

_AGAIN_AFTER_SECONDS = 5.0
"""Shorter than the rest of a lease whose holder dies."""
_MOST_REMEMBERED = 10_000


class DeletedTasks:
    """Handles the deliveries of deleted tasks. Thread-safe.

    A caller can have many messages for deleted tasks, and each occupies a slot of the worker. So
    the bucket is listed only for a message that another worker may have processed before, and once
    in `_AGAIN_AFTER_SECONDS` for all messages of a task. Pub/Sub's count of deliveries is
    approximate: where it is too low, objects remain until the bucket's lifecycle deletes them.
    """

    def __init__(
        self,
        *,
        images: ImageStorage,
        checkpoints: CheckpointKeeper,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self._images = images
        self._checkpoints = checkpoints
        self._lock = threading.Lock()
        self._cleaned: MutableMapping[str, None] = TTLCache(
            _MOST_REMEMBERED, _AGAIN_AFTER_SECONDS, timer=timer
        )

    def clean_up(self, delivery: Delivery, message: TaskMessage) -> None:
        """Remove the task's images and checkpoints, if there may be any.

        Raises DependencyUnavailableError if some may remain.
        """
        if delivery.is_first or not self._begin(message.folder):
            return
        try:
            self.remove(message.task_id, message.folder)
        except DependencyUnavailableError:
            with self._lock:
                self._cleaned.pop(message.folder, None)
            raise

    def remove(self, task_id: str, folder: str) -> None:
        """Remove a task's images and checkpoints. Raises DependencyUnavailableError if some may remain.

        The delivery must then be returned: the next one is the only chance to remove them.
        """
        has_no_images = self._images.remove_all(task_id, folder)
        has_no_checkpoints = self._checkpoints.discard(task_id, folder)
        if not (has_no_images and has_no_checkpoints):
            raise DependencyUnavailableError("storage")

    def _begin(self, folder: str) -> bool:
        """Record a removal; return false if there was one within `_AGAIN_AFTER_SECONDS`."""
        with self._lock:
            if folder in self._cleaned:
                return False
            self._cleaned[folder] = None
            return True

"""Removal of what a dead worker has stored for a task after its deletion."""

import threading
from collections.abc import MutableMapping

from cachetools import TTLCache

from common.domain.images import task_folder
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
    within `_AGAIN_AFTER_SECONDS` for all messages of a task. Pub/Sub's count of deliveries is
    approximate: where it is too low, objects remain until the bucket's lifecycle deletes them.
    """

    def __init__(self, *, images: ImageStorage, checkpoints: CheckpointKeeper) -> None:
        self._images = images
        self._checkpoints = checkpoints
        self._lock = threading.Lock()
        self._cleaned: MutableMapping[str, None] = TTLCache(_MOST_REMEMBERED, _AGAIN_AFTER_SECONDS)

    def clean_up(self, delivery: Delivery, message: TaskMessage) -> None:
        """Remove the task's images and checkpoints, if there may be any and the bucket is available."""
        folder = task_folder(message.task_id, message.submitted_at)
        if delivery.is_first or self._is_cleaned(folder):
            return
        self._images.remove_all(message.task_id, folder)
        self._checkpoints.discard(message.task_id, folder)

    def _is_cleaned(self, folder: str) -> bool:
        with self._lock:
            is_cleaned = folder in self._cleaned
            self._cleaned[folder] = None
        return is_cleaned

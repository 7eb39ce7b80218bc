"""Archive a dead letter: keep it for operators, and fail its unattended task.

A task with a newer message does not fail. Workers also return messages that they cannot take now, and
in a long queue Pub/Sub abandons those, while rescue has published newer ones.

A task that finished before its message died has an unpublished final event: the worker returned the
message because publishing that event failed each time. Its event is published again.
"""

from dataclasses import dataclass
from datetime import timedelta

import structlog

from common.domain.errors import ContendedError, TaskNotFoundError
from common.domain.failures import FailureCode
from common.domain.task import Task
from common.ports import Clock, TaskStore
from frontend_api.dead_letters.dead_letter import DeadLetter, DeadMessage
from frontend_api.dead_letters.ports import DeadLetterArchive
from frontend_api.tasks.final_events import PublishFinalEvent, with_event_pending

_log = structlog.get_logger(__name__)
_CONFIRMED_WITHIN = timedelta(minutes=1)
"""A message is published at most this long before the task's `enqueued_at`, which may be another clock's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """The stored letter; `is_new` is false if it was archived before."""

    letter: DeadLetter
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveDeadLetter:
    """Archives dead letters; `keep_for` is how long a letter is kept."""

    archive: DeadLetterArchive
    store: TaskStore
    publish_final_event: PublishFinalEvent
    clock: Clock
    keep_for: timedelta

    def __call__(self, message: DeadMessage) -> Archived:
        """Store the message, then fail its task unless it is held, was updated since, or has a newer message.

        Idempotent. A task that its owner changes before each write is left to rescue.

        Raises DependencyUnavailableError; the whole call can then be repeated.
        """
        letter = DeadLetter.of(message, now=self.clock.now(), keep_for=self.keep_for)
        is_new = self.archive.add(letter)
        if letter.task_id is not None:
            # Also for a stored letter: its process may have died before failing the task.
            self._fail_task(letter.task_id, letter)
        return Archived(letter=letter, is_new=is_new)

    def _fail_task(self, task_id: str, letter: DeadLetter) -> None:
        found: list[Task] = []

        def change(task: Task) -> Task:
            found.append(task)
            now = self.clock.now()  # the read of the task has corrected it
            is_claimed = task.claim is not None and task.claim.expires_at > now
            # A later update means that a worker holds the task or that another message was sent.
            was_updated = task.updated_at > letter.died_at
            if task.finished_at is not None and task.finished_at < letter.died_at:
                # The worker returned the message each time because publishing its event failed.
                return with_event_pending(task)
            if task.status.is_terminal or is_claimed or was_updated or _has_newer_message(task, letter):
                return task
            return with_event_pending(task.abandoned(FailureCode.DEAD_LETTERED.failure(), now))

        try:
            finished = self.store.update(task_id, change)
            self.publish_final_event.bill.count_settled(found[-1], finished)
            self.publish_final_event(finished)
        except TaskNotFoundError:
            return  # the task was deleted
        except ContendedError:
            # Its owner changes it all the time. An error would slow down the pushes of all dead letters.
            _log.warning("dead_letter_task_left_to_rescue", task_id=task_id, dead_letter_id=letter.id)


def _has_newer_message(task: Task, letter: DeadLetter) -> bool:
    published, newest = letter.first_published_at, task.enqueued_at
    return published is not None and newest is not None and newest > published + _CONFIRMED_WITHIN

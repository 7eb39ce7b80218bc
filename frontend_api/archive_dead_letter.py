"""Archive a dead letter: keep it for operators, and end the task that nobody will hear of any more.

A task that had ended before its message died is told of: the message died of an event that was never taken.
"""

from dataclasses import dataclass
from datetime import timedelta

from common.domain.errors import TaskNotFoundError
from common.domain.task import Failure, Task
from common.ports import Clock, TaskStore
from frontend_api.dead_letter import DeadLetter, DeadMessage
from frontend_api.ports import DeadLetterArchive
from frontend_api.tell_ending import TellEnding, untold

DEAD_LETTERED = Failure(
    code="dead_lettered",
    message="The message that was to have this task drawn was given up on. A retry sends a new one.",
    retryable=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Archived:
    """The letter as it is kept; `is_new` unless it had come before."""

    letter: DeadLetter
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveDeadLetter:
    """The use case. `keep_for` is how long a letter is kept."""

    archive: DeadLetterArchive
    store: TaskStore
    tell_ending: TellEnding
    clock: Clock
    keep_for: timedelta

    def __call__(self, message: DeadMessage) -> Archived:
        """Keep the message, then end its task. The same message may come any number of times.

        Raises DependencyUnavailableError; all of it may then be done again.
        """
        letter = DeadLetter.of(message, now=self.clock.now(), keep_for=self.keep_for)
        is_new = self.archive.add(letter)
        if letter.task_id is not None:
            # Also of a letter that had come before: whoever took it then may have died between the two.
            self._give_up(letter.task_id, letter)
        return Archived(letter=letter, is_new=is_new)

    def _give_up(self, task_id: str, letter: DeadLetter) -> None:
        now = self.clock.now()
        found: list[Task] = []

        def change(task: Task) -> Task:
            found.append(task)
            claim_lives = task.claim is not None and task.claim.expires_at > now
            # Whoever touched the task after the message had died is at it, or has sent another message.
            is_tended = task.updated_at > letter.died_at
            if task.finished_at is not None and task.finished_at < letter.died_at:
                # Whoever ended it returned the message all the same: its event was refused, each time.
                return untold(task)
            if task.status.is_terminal or claim_lives or is_tended:
                return task
            return untold(task.abandoned(DEAD_LETTERED, now))

        try:
            ended = self.store.update(task_id, change)
            self.tell_ending.bill.count_settled(found[-1], ended)
            self.tell_ending(ended)
        except TaskNotFoundError:
            return  # deleted: nobody waits for it any more

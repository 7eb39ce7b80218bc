"""CallbackSeal: shows that the API stored a task's callback, and that no other process changed it.

A worker may write every document. Without the seal, a compromised worker could have the API send a
caller's receiver credentials, or events with the caller's signature, to a receiver of its choice.
"""

from dataclasses import dataclass, replace

from common.domain.task import Task
from frontend_api.record_seal import RecordSeal

_KIND = "callback"


@dataclass(frozen=True, slots=True)
class CallbackSeal:
    seal: RecordSeal

    def on(self, task: Task) -> Task:
        """Return the new task with the seal of its callback; without a callback, the task itself."""
        if task.callback_url is None:
            return task
        return replace(task, callback_seal=self.seal.of(_KIND, _sealed(task)))

    def is_valid(self, task: Task) -> bool:
        return self.seal.is_valid(_KIND, _sealed(task), task.callback_seal)


def _sealed(task: Task) -> dict[str, object]:
    return {
        "task_id": task.id,
        "user_id": task.user_id,
        "url": task.callback_url,
        "events": task.callback_events,
        "headers": dict(task.callback_headers),
    }

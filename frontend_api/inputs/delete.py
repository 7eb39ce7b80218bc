"""Delete inputs: for their owner, with their last task, or after they have expired."""

from dataclasses import dataclass

import structlog

from common.domain.inputs import input_object_name
from common.ports import Clock
from frontend_api.inputs.ports import InputStore, InputUses
from frontend_api.inputs.stored_input import InputInUseError, InputNotFoundError, StoredInput

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteInput:
    store: InputStore
    uses: InputUses

    def __call__(self, user_id: str, input_id: str) -> None:
        """Delete an input of an owner. Raises InputNotFoundError, InputInUseError."""
        name = input_object_name(user_id, input_id)
        self.store.get(name)
        # Asked first, because a refused deletion must not withdraw what keeps the input for its task.
        if self.uses.is_used(name) or not self.if_unused(name):
            raise InputInUseError

    def if_unused(self, object_name: str) -> bool:
        """Delete an input unless a task uses it; return whether it is deleted now.

        InputStore describes why no accepted task can lose its input. An input that is uploaded
        again at the same moment stays, too.
        """
        try:
            withdrawn = self.store.withdraw(self.store.get(object_name))
        except InputNotFoundError:
            return True
        return not self.uses.is_used(object_name) and self.store.delete_unchanged(withdrawn)


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveExpiredInputs:
    """Deletes inputs that no task has used in time. In the cloud, the bucket's lifecycle does, too."""

    store: InputStore
    delete: DeleteInput
    clock: Clock

    def __call__(self) -> int:
        """Delete the inputs and return their number. Raises DependencyUnavailableError midway."""
        expired: tuple[StoredInput, ...] = self.store.list_expired(now=self.clock.now())
        removed = sum(self.delete.if_unused(each.object_name) for each in expired)
        if removed:
            _log.info("expired_inputs_removed", inputs=removed)
        return removed

"""Read one of a caller's inputs. Inputs of other users are reported as not found."""

from dataclasses import dataclass

from common.domain.inputs import input_object_name
from common.ports import Clock
from frontend_api.inputs.ports import InputStore
from frontend_api.inputs.stored_input import InputNotFoundError, StoredInput


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadInput:
    store: InputStore
    clock: Clock

    def __call__(self, user_id: str, input_id: str) -> StoredInput:
        """Return the input. Raises InputNotFoundError, also for an expired one."""
        stored = self.store.get(input_object_name(user_id, input_id))
        if stored.expires_at <= self.clock.now():
            raise InputNotFoundError(input_id)
        return stored

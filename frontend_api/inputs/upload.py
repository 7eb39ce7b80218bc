"""Upload an input: check its header, then store it under the SHA-256 of its bytes."""

import hashlib
from dataclasses import dataclass

from common.domain.inputs import input_folder, input_object_name
from common.picture_header import PictureHeader, read_header
from common.ports import Clock
from frontend_api.inputs.ports import InputExistsError, InputStore
from frontend_api.inputs.stored_input import (
    InputLimits,
    InputNotFoundError,
    StoredInput,
    TooManyInputsError,
)

_MAX_RACES = 5
"""Uploads of a picture that is deleted at the same moment."""
LEAST_COUNTED_BYTES = 100_000
"""So the limit of bytes also limits the number of inputs, which each upload lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    stored: StoredInput
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadInput:
    store: InputStore
    limits: InputLimits
    clock: Clock

    def __call__(self, user_id: str, content: bytes) -> Uploaded:
        """Store a picture, or renew the expiry of the same picture if the owner has it already.

        Raises PictureRefusedError before the bytes are hashed or any call is made, and
        TooManyInputsError.
        """
        header = read_header(content)
        self.limits.check(header)
        requested = self._requested(user_id, content, header)
        for _ in range(_MAX_RACES - 1):
            try:
                return self._stored(user_id, requested, content)
            except (InputExistsError, InputNotFoundError):
                continue
        return self._stored(user_id, requested, content)

    def _stored(self, user_id: str, requested: StoredInput, content: bytes) -> Uploaded:
        try:
            stored = self.store.get(requested.object_name)
        except InputNotFoundError:
            self.check_capacity(user_id, len(content))
            return Uploaded(stored=self.store.create(requested, content), is_new=True)
        return Uploaded(
            stored=self.store.keep(stored, until=requested.expires_at, for_tasks=False), is_new=False
        )

    def _requested(self, user_id: str, content: bytes, header: PictureHeader) -> StoredInput:
        now, digest = self.clock.now(), hashlib.sha256(content).hexdigest()
        return StoredInput(
            id=digest,
            object_name=input_object_name(user_id, digest),
            content_type=header.media_type,
            size_bytes=len(content),
            width=header.width,
            height=header.height,
            created_at=now,
            expires_at=now + self.limits.unused_for,
        )

    def check_capacity(self, user_id: str, size_bytes: int) -> None:
        """Raise TooManyInputsError if the owner has no capacity for a file of this size."""
        most = self.limits.bytes_per_owner
        if most == 0:
            return
        used = self.store.bytes_in(input_folder(user_id), each_at_least=LEAST_COUNTED_BYTES)
        if used + max(size_bytes, LEAST_COUNTED_BYTES) > most:
            raise TooManyInputsError(most)

"""Upload an input: check its header, then store it under the SHA-256 of its bytes."""

import hashlib
import uuid
from dataclasses import dataclass, field

from common.domain.inputs import input_folder, input_object_name
from common.picture_header import PictureHeader, read_header
from common.ports import Clock
from frontend_api.inputs.announced_uploads import LEAST_COUNTED_BYTES, AnnouncedUploads
from frontend_api.inputs.ports import InputExistsError, InputStore
from frontend_api.inputs.stored_input import (
    InputLimits,
    InputNotFoundError,
    StoredInput,
    TooManyInputsError,
)

_MAX_RACES = 5
"""Uploads of a picture that is deleted at the same moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    stored: StoredInput
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadInput:
    store: InputStore
    limits: InputLimits
    clock: Clock
    running: AnnouncedUploads = field(default_factory=AnnouncedUploads)
    """The pictures that this process is storing."""

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
            return Uploaded(stored=self._created(user_id, requested, content), is_new=True)
        return Uploaded(
            stored=self.store.keep(stored, until=requested.expires_at, for_tasks=False), is_new=False
        )

    def _created(self, user_id: str, requested: StoredInput, content: bytes) -> StoredInput:
        upload_id = uuid.uuid4().hex
        try:
            self.announce(self.running, user_id, upload_id, len(content))
            return self.store.create(requested, content)
        finally:
            self.running.remove(user_id, upload_id)

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

    def announce(self, uploads: AnnouncedUploads, user_id: str, upload_id: str, size_bytes: int) -> None:
        """Count a file among `uploads` until it is removed from these, or expires.

        Raises TooManyInputsError if the owner has no capacity for it beside these and the stored inputs.
        """
        most = self.limits.bytes_per_owner
        if most == 0:
            return
        uploads.add(user_id, upload_id, size_bytes=size_bytes, now=self.clock.now())
        # Before the bucket is read: otherwise an upload that is completed meanwhile would not count.
        announced = uploads.bytes_of(user_id)
        stored = self.store.bytes_in(input_folder(user_id), each_at_least=LEAST_COUNTED_BYTES)
        if announced + stored > most:
            raise TooManyInputsError(most, counts_started=uploads is not self.running)

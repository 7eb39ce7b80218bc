"""Resumable uploads: the caller sends a file to the bucket in parts, and then asks to store it.

The bucket cannot verify a SHA-256. So a file arrives under a name of its own, outside the inputs.
"""

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import datetime

from common.domain.errors import FieldProblem, ParametersRejectedError
from common.domain.inputs import upload_object_name
from common.picture_header import DamagedPictureError, PictureRefusedError
from common.ports import Clock
from frontend_api.inputs.announced_uploads import LIFETIME, AnnouncedUploads
from frontend_api.inputs.ports import UploadSessions
from frontend_api.inputs.read import ReadInput
from frontend_api.inputs.stored_input import InputNotFoundError, UploadNotFoundError
from frontend_api.inputs.upload import Uploaded, UploadInput


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedUpload:
    id: str
    url: str
    """Accepts the file in parts from any holder."""
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumableUploads:
    sessions: UploadSessions
    upload: UploadInput
    read: ReadInput
    clock: Clock
    started: AnnouncedUploads = field(default_factory=AnnouncedUploads)
    """These count for further starts only: another process may have completed them, or the caller may
    have sent the picture in another way."""

    def start(self, user_id: str, *, size_bytes: int, content_type: str, origin: str | None) -> StartedUpload:
        """Start an upload; `origin` is that of the page that will send the file, if one will.

        Raises ParametersRejectedError, TooManyInputsError.
        """
        most = self.upload.limits.bytes_each
        if size_bytes > most:
            problem = FieldProblem("/size_bytes", f"must be at most {most}, got {size_bytes}")
            raise ParametersRejectedError("1 field is invalid", (problem,))
        upload_id, now = uuid.uuid4().hex, self.clock.now()
        try:
            self.upload.announce(self.started, user_id, upload_id, size_bytes)
            url = self.sessions.start(
                upload_object_name(user_id, upload_id),
                size_bytes=size_bytes,
                content_type=content_type,
                origin=origin,
            )
        except Exception:
            self.started.remove(user_id, upload_id)
            raise
        return StartedUpload(id=upload_id, url=url, expires_at=now + LIFETIME)

    def complete(self, user_id: str, upload_id: str, *, sha256: str) -> Uploaded:
        """Store the file of an upload as an input. May be repeated.

        Deletes the file once it is stored or refused as a picture. After other errors, it is kept for
        the next call. Raises UploadNotFoundError if it has not arrived completely, and as UploadInput.
        """
        try:
            content = self.sessions.read(upload_object_name(user_id, upload_id))
        except UploadNotFoundError:
            try:
                return Uploaded(stored=self.read(user_id, sha256), is_new=False)  # by an earlier call
            except InputNotFoundError:
                raise UploadNotFoundError(upload_id) from None
        try:
            if hashlib.sha256(content).hexdigest() != sha256:
                raise DamagedPictureError("the file was damaged on its way: its SHA-256 is not `sha256`")
            uploaded = self.upload(user_id, content)
        except PictureRefusedError:
            self._remove(user_id, upload_id)
            raise
        self._remove(user_id, upload_id)
        return uploaded

    def _remove(self, user_id: str, upload_id: str) -> None:
        self.sessions.delete(upload_object_name(user_id, upload_id))
        self.started.remove(user_id, upload_id)

    def remove_abandoned(self) -> None:
        """Delete files that no caller has completed in time. Raises DependencyUnavailableError."""
        self.sessions.remove_older(self.clock.now() - LIFETIME)

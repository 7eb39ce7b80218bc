"""Resumable uploads: the caller sends a file to the bucket in parts, and then asks to store it.

The bucket cannot verify a SHA-256. So a file arrives under a name of its own, outside the inputs.
"""

import hashlib
import threading
import uuid
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from common.domain.errors import FieldProblem, ParametersRejectedError
from common.domain.inputs import upload_object_name
from common.picture_header import DamagedPictureError
from common.ports import Clock
from frontend_api.inputs.ports import UploadSessions
from frontend_api.inputs.read import ReadInput
from frontend_api.inputs.stored_input import InputNotFoundError, TooManyInputsError, UploadNotFoundError
from frontend_api.inputs.upload import LEAST_COUNTED_BYTES, Uploaded, UploadInput

LIFETIME = timedelta(days=1)
"""How long an upload may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedUpload:
    id: str
    url: str
    """Accepts the file in parts from any holder."""
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Announced:
    user_id: str
    size_bytes: int
    expires_at: datetime


class AnnouncedUploads:
    """The uploads that this process has started and not completed.

    A bucket shows no unfinished file, so the limit of an owner's bytes counts the announced sizes.
    Thread-safe.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._uploads: dict[str, _Announced] = {}
        """By id, in the order of their start, and so of their expiry."""
        self._bytes: Counter[str] = Counter()
        """Of each owner."""

    def __len__(self) -> int:
        with self._lock:
            return len(self._uploads)

    def add(self, user_id: str, upload_id: str, *, size_bytes: int, now: datetime, most: int) -> None:
        """Add an upload. Raises TooManyInputsError if all announced ones exceed `most` bytes; 0: no limit."""
        if not most:
            return
        counted = max(size_bytes, LEAST_COUNTED_BYTES)
        with self._lock:
            while self._uploads and self._uploads[oldest := next(iter(self._uploads))].expires_at <= now:
                self._forget(oldest)
            if self._bytes[user_id] + counted > most:
                raise TooManyInputsError(most)
            self._uploads[upload_id] = _Announced(user_id, counted, now + LIFETIME)
            self._bytes[user_id] += counted

    def remove(self, user_id: str, upload_id: str) -> None:
        with self._lock:
            upload = self._uploads.get(upload_id)
            if upload is not None and upload.user_id == user_id:
                self._forget(upload_id)

    def _forget(self, upload_id: str) -> None:
        upload = self._uploads.pop(upload_id)
        self._bytes[upload.user_id] -= upload.size_bytes
        if not self._bytes[upload.user_id]:
            del self._bytes[upload.user_id]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumableUploads:
    sessions: UploadSessions
    upload: UploadInput
    read: ReadInput
    clock: Clock
    announced: AnnouncedUploads = field(default_factory=AnnouncedUploads)

    def start(self, user_id: str, *, size_bytes: int, content_type: str, origin: str | None) -> StartedUpload:
        """Start an upload; `origin` is that of the page that will send the file, if one will.

        Raises ParametersRejectedError, TooManyInputsError.
        """
        most = self.upload.limits.bytes_each
        if size_bytes > most:
            problem = FieldProblem("/size_bytes", f"must be at most {most}, got {size_bytes}")
            raise ParametersRejectedError("1 field is invalid", (problem,))
        self.upload.check_capacity(user_id, size_bytes)
        upload_id, now = uuid.uuid4().hex, self.clock.now()
        self.announced.add(
            user_id, upload_id, size_bytes=size_bytes, now=now, most=self.upload.limits.bytes_per_owner
        )
        try:
            url = self.sessions.start(
                upload_object_name(user_id, upload_id),
                size_bytes=size_bytes,
                content_type=content_type,
                origin=origin,
            )
        except Exception:
            self.announced.remove(user_id, upload_id)
            raise
        return StartedUpload(id=upload_id, url=url, expires_at=now + LIFETIME)

    def complete(self, user_id: str, upload_id: str, *, sha256: str) -> Uploaded:
        """Store the file of an upload as an input. May be repeated.

        Raises UploadNotFoundError if the file has not arrived completely, and as UploadInput.
        """
        name = upload_object_name(user_id, upload_id)
        try:
            content = self.sessions.read(name)
        except UploadNotFoundError:
            try:
                return Uploaded(stored=self.read(user_id, sha256), is_new=False)  # by an earlier call
            except InputNotFoundError:
                raise UploadNotFoundError(upload_id) from None
        try:
            if hashlib.sha256(content).hexdigest() != sha256:
                raise DamagedPictureError("the file was damaged on its way: its SHA-256 is not `sha256`")
            return self.upload(user_id, content)
        finally:
            self.sessions.delete(name)
            self.announced.remove(user_id, upload_id)

    def remove_abandoned(self) -> None:
        """Delete files that no caller has completed in time. Raises DependencyUnavailableError."""
        self.sessions.remove_older(self.clock.now() - LIFETIME)

"""Where a downloaded model is stored: a folder, or a prefix of a bucket.

A file appears under its name only when all its bytes are stored and its hash is the expected one.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Protocol

from google.api_core import exceptions as google_errors
from google.cloud.storage import Blob, Bucket

from common.adapters.gcs_errors import translated_storage_errors
from gpu_subscriber.model_download.digests import DigestOfFile
from gpu_subscriber.model_download.file_lock import locked
from gpu_subscriber.model_download.hub import HubFile, ModelDownloadError

_DIGEST = "darkroom-digest"
"""Key of an object's metadata with the hash of the hub."""
_READ_BYTES = 2**20
_UPLOADED_BYTES = 32 * 2**20
"""Size of the parts in which an object is uploaded; the process holds one in memory."""
_TIMEOUT_SECONDS = 120.0


class Target(io.RawIOBase):
    """Receives the bytes of a file, and counts and hashes them."""

    def __init__(self, stored: Any, digest: DigestOfFile) -> None:
        super().__init__()
        self._stored = stored
        self._digest = digest

    @property
    def received(self) -> int:
        """The number of bytes that are stored, including those of an earlier run."""
        return self._digest.received

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self._digest.add(content)
        self._stored.write(content)
        return len(content)


class Destination(Protocol):
    """Stores the files of a model."""

    def reserved(self, report: Callable[[str], None]) -> AbstractContextManager[None]:
        """Return a context in which no other command changes the files. Entering waits for others."""

    def has(self, file: HubFile) -> bool:
        """Return whether this file is stored with its size and its hash."""

    def writing(self, file: HubFile) -> Any:
        """Return a context with the Target of this file. Raises ModelDownloadError for another hash."""

    def write_text(self, name: str, text: str) -> None:
        """Store a small file."""


class FolderDestination:
    """A folder. The start of a file whose download was cut off is kept for the next run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextmanager
    def reserved(self, report: Callable[[str], None]) -> Iterator[None]:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(self._folder, lambda: report(f"waiting for another download into {self._folder}")):
            yield

    def has(self, file: HubFile) -> bool:
        path = self._folder / file.name
        return path.is_file() and path.stat().st_size == file.size and _digest_of(path, file).is_expected

    @contextmanager
    def writing(self, file: HubFile) -> Iterator[Target]:
        path = self._folder / file.name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        if part.exists() and part.stat().st_size > file.size:
            part.unlink()
        part.touch()
        digest = _digest_of(part, file)
        with part.open("ab") as stored:
            yield Target(stored, digest)
        if not digest.is_expected:
            part.unlink()
            raise _other_content(file)
        part.replace(path)

    def write_text(self, name: str, text: str) -> None:
        (self._folder / name).write_text(text)


class BucketDestination:
    """Objects under a prefix of a bucket. Needs the rights to get, create and delete them, not to list them."""

    def __init__(self, bucket: Bucket, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = prefix

    def reserved(self, report: Callable[[str], None]) -> AbstractContextManager[None]:
        return nullcontext()  # each upload is an object of its own until it is complete

    def has(self, file: HubFile) -> bool:
        with translated_storage_errors():
            try:
                blob = self._bucket.get_blob(self._name(file.name), timeout=_TIMEOUT_SECONDS)
            except google_errors.Forbidden:
                # The response for an object that does not exist, where the caller may not list objects.
                return False
        return (
            blob is not None
            and blob.size == file.size
            and (blob.metadata or {}).get(_DIGEST) == str(file.digest)
        )

    @contextmanager
    def writing(self, file: HubFile) -> Iterator[Target]:
        blob = self._blob(file.name)
        blob.metadata = {_DIGEST: str(file.digest)}
        digest = DigestOfFile(file.digest, size=file.size)
        # An error inside cancels the upload, and the object does not appear.
        with (
            translated_storage_errors(),
            blob.open("wb", chunk_size=_UPLOADED_BYTES, timeout=_TIMEOUT_SECONDS) as stored,
        ):
            yield Target(stored, digest)
            if not digest.is_expected:
                raise _other_content(file)

    def write_text(self, name: str, text: str) -> None:
        with translated_storage_errors():
            self._blob(name).upload_from_string(
                text, content_type="application/json", timeout=_TIMEOUT_SECONDS
            )

    def _blob(self, name: str) -> Blob:
        return self._bucket.blob(self._name(name))

    def _name(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name


def _digest_of(path: Path, file: HubFile) -> DigestOfFile:
    with path.open("rb") as opened:
        return DigestOfFile(file.digest, size=file.size).add_all(iter(lambda: opened.read(_READ_BYTES), b""))


def _other_content(file: HubFile) -> ModelDownloadError:
    return ModelDownloadError(
        f"{file.name} arrived with another hash than the hub states ({file.digest}). Run the command again"
    )

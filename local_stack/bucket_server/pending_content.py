"""The content of an unfinished upload: a temporary file and running checksums."""

import base64
import hashlib
import uuid
from pathlib import Path

import google_crc32c

from local_stack.bucket_server.records import StorageError
from local_stack.durable_files import sync


class PendingContent:
    """Invisible until the store commits it. The caller must either commit or `discard` it.

    The file is open during a write only: an upload may stay unfinished for days.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f".pending-{uuid.uuid4().hex}"
        self.size_bytes = 0
        self.path.touch(exist_ok=False)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c = google_crc32c.Checksum()

    def write(self, chunk: bytes) -> None:
        """Append a chunk. Raises OSError; the caller may then repeat the call."""
        with self.path.open("r+b") as file:
            file.seek(self.size_bytes)  # a failed call may have written a part
            file.write(chunk)
            file.truncate()
        self._md5.update(chunk)
        self._crc32c.update(chunk)
        self.size_bytes += len(chunk)

    @property
    def md5(self) -> str:
        return base64.b64encode(self._md5.digest()).decode()

    @property
    def crc32c(self) -> str:
        return base64.b64encode(self._crc32c.digest()).decode()

    def check(self, *, md5: object, crc32c: object) -> None:
        """Raise StorageError 400 when an announced checksum does not match."""
        for title, announced, actual in (("MD5", md5, self.md5), ("CRC32C", crc32c, self.crc32c)):
            if announced is not None and announced != actual:
                raise StorageError(
                    400, "invalid", f"Provided {title} hash {announced} doesn't match calculated {actual}."
                )

    def sync(self) -> None:
        """Return when the disk has the content. Raises OSError."""
        sync(self.path)

    def store_as(self, path: Path) -> None:
        """Rename the file. Raises OSError; the caller may repeat the call."""
        self.path = self.path.replace(path)
        sync(path.parent)

    def discard(self) -> None:
        self.path.unlink(missing_ok=True)

"""The SHA-256 of a model's files, computed while the model is loaded.

Hashing large buffers releases the interpreter. A file is hashed while the model reads it, so slow
storage is read about once.
"""

import hashlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

_HASHING = ThreadPoolExecutor(4, thread_name_prefix="weights-hash")
_FileVersion = tuple[Path, int, int]
"""A file, its size, and when it was changed."""
_known: dict[_FileVersion, Future[str]] = {}
"""An unchanged file is hashed once per process, also while a failed load is repeated."""


class WeightDigests:
    """The digests of the files of one model, by the names that records show."""

    def __init__(self) -> None:
        self._digests: dict[str, Future[str]] = {}

    def start(self, files: Mapping[str, Path]) -> None:
        """Start hashing in the background. Raises OSError for a file that is not there."""
        self._digests |= {name: _digest_of(file) for name, file in files.items()}

    def wait(self) -> dict[str, str]:
        """Return all digests; waits until they are computed. Raises OSError for an unreadable file."""
        return {name: digest.result() for name, digest in sorted(self._digests.items())}

    def cancel(self) -> None:
        """Hash no file that is not begun: the files of the next load would wait behind them."""
        for digest in self._digests.values():
            digest.cancel()


def _digest_of(file: Path) -> Future[str]:
    # Resolve links, because a hub's cache shares one file among revisions.
    real = file.resolve()
    status = real.stat()
    version = (real, status.st_size, status.st_mtime_ns)
    known = _known.get(version)
    if known is None or known.cancelled() or (known.done() and known.exception() is not None):
        known = _known[version] = _HASHING.submit(_sha256_of, real)
    return known


def _sha256_of(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

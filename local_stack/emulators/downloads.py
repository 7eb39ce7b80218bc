"""Pinned downloads of the emulators, for machines without the Google Cloud CLI.

A file gets its final name only when it is complete and its SHA-256 matches. An interrupted download
is resumed. Versions and hashes are those that firebase-tools 15.34.2 pins.
"""

import fcntl
import hashlib
import http.client
import shutil
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from local_stack.durable_files import rename
from local_stack.errors import DownloadError

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedDownload:
    """A file's URL and its checksum."""

    url: str
    size_bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        return PurePosixPath(self.url).name


_FOLDER = "https://storage.googleapis.com/firebase-preview-drop/emulator"
FIRESTORE_EMULATOR_DOWNLOAD = PinnedDownload(
    url=f"{_FOLDER}/cloud-firestore-emulator-v1.22.0.jar",
    size_bytes=136_707_194,
    sha256="9b6498b7f62714d67f48f59b3818883cd682dbcd46b9f59511de81c97bb5166c",
)
PUBSUB_EMULATOR_DOWNLOAD = PinnedDownload(
    url=f"{_FOLDER}/pubsub-emulator-0.8.37.zip",
    size_bytes=53_029_797,
    sha256="c83383e0c71633e58abad6fdc9c0312c7d0f6a5a34236c42e3f92eb24ded1c26",
)
JAVA_NEEDED_BY_DOWNLOADS = 21


def fetch(download: PinnedDownload, folder: Path, notify: Callable[[str], None] = lambda _: None) -> Path:
    """Return the file, downloaded once, also by concurrent callers. Raises DownloadError."""
    target = folder / download.file_name
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / (download.file_name + ".part")
    with _locked(target):
        if target.exists():
            return target
        if not partial.exists() or partial.stat().st_size < download.size_bytes:
            notify(
                f"Downloading {download.file_name} ({download.size_bytes / 1e6:.0f} MB) from {download.url}"
            )
            _resume(download, partial)
        _check(download, partial)
        rename(partial, target)
    return target


def extract_jar(archive_path: Path, folder: Path) -> Path:
    """Unpack the `*-all.jar` of a zip file, once, also by concurrent callers. Raises DownloadError."""
    with zipfile.ZipFile(archive_path) as archive:
        inside = next((name for name in archive.namelist() if name.endswith("-all.jar")), None)
        if inside is None:
            raise DownloadError(f"{archive_path} contains no *-all.jar.")
        target = folder / PurePosixPath(inside).name
        if target.exists():
            return target
        with _locked(target):
            if target.exists():
                return target
            partial = target.with_name(target.name + ".part")
            with archive.open(inside) as source, partial.open("wb") as sink:
                shutil.copyfileobj(source, sink)
            rename(partial, target)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file: stacks that start at the same time share one download and one jar."""
    with path.with_name(path.name + ".lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _resume(download: PinnedDownload, partial: Path) -> None:
    """Download the missing part, or everything when the server does not support ranges."""
    size = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(download.url, headers={"Range": f"bytes={size}-"} if size else {})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310
            is_partial = response.status == http.HTTPStatus.PARTIAL_CONTENT
            with partial.open("ab" if is_partial else "wb") as sink:
                shutil.copyfileobj(response, sink, _CHUNK_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                partial.unlink()  # larger than the server's file, so not a part of it
            raise DownloadError(f"{download.url} returned {error.code} {error.reason}.") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise DownloadError(f"{download.url} could not be downloaded ({reason}).") from error


def _check(download: PinnedDownload, partial: Path) -> None:
    size = partial.stat().st_size
    if size < download.size_bytes:
        raise DownloadError(
            f"The download of {download.url} was interrupted after {size} of {download.size_bytes} bytes. "
            f"Retry to resume it."
        )
    with partial.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != download.sha256:
        partial.unlink()
        raise DownloadError(
            f"The SHA-256 of {download.url} must be {download.sha256} (got {actual}). The file was deleted."
        )

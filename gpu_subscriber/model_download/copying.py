"""Copy the files of a checked model, without those that are stored already."""

import io
from collections.abc import Callable, Iterable
from typing import Any

from gpu_subscriber.model_download.destinations import Destination, Target
from gpu_subscriber.model_download.hub import HubFile, HubRepository

_REPORTED_SHARE = 20
"""A large file reports its progress this many times."""
_REPORTED_BYTES = 50_000_000
"""Progress inside smaller files is not reported."""


def copy_files(
    repository: HubRepository,
    files: Iterable[HubFile],
    destination: Destination,
    *,
    report: Callable[[str], None],
) -> None:
    """Copy the files in their order. Raises ModelDownloadError."""
    files = tuple(files)
    for number, file in enumerate(files, start=1):
        about = f"{number} of {len(files)}: {file.name}, {file.size:,} bytes"
        if destination.has(file):
            report(f"{about}: already there")
            continue
        report(about)
        with destination.writing(file) as target:
            repository.copy(file, _Reporting(target, file, report), received=target.received)


class _Reporting(io.RawIOBase):
    """Reports the progress of a large file, and passes its bytes on."""

    def __init__(self, target: Target, file: HubFile, report: Callable[[str], None]) -> None:
        super().__init__()
        self._target = target
        self._file = file
        self._report = report
        self._step = max(file.size // _REPORTED_SHARE, _REPORTED_BYTES)

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        before = self._target.received // self._step
        written = self._target.write(content)
        if self._target.received // self._step > before:
            self._report(f"  {100 * self._target.received // self._file.size} % of {self._file.name}")
        return written

"""The journal: every confirmed write, appended to a file before the response.

A record survives SIGKILL of any process, because the operating system holds it; nothing is synced
to the disk. A segment is one file, named after the time at which it began. An export covers the
segments that were followed by another one before the export began.
"""

import os
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

MARKER_DATABASE = "projects/demo-restored-marker/databases/(default)"
MARKER = f"{MARKER_DATABASE}/documents/restored/marker"
"""The document that marks a run of the emulator as restored. No export covers its project."""
_HEADER = struct.Struct(">BII")
SEGMENT_SECONDS = 5.0


class CallKind(IntEnum):
    """The calls that write. The value is stored."""

    COMMIT = 1
    BATCH_WRITE = 2


_KINDS = frozenset(CallKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    kind: CallKind
    request: bytes
    response: bytes


class Journal:
    """The segments in one folder. One process appends; any process may read and discard."""

    def __init__(self, folder: Path, *, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._folder = folder
        self._now_ns = now_ns
        self._file: int | None = None
        self._began_ns = 0

    def append(self, record: Record) -> None:
        """Store a record. Returns when the operating system has it. Raises OSError."""
        now = self._now_ns()
        file = self._file
        if file is None or now - self._began_ns > SEGMENT_SECONDS * 1e9:
            file = self._begin_segment(now)
        data = b"".join(
            (
                _HEADER.pack(record.kind, len(record.request), len(record.response)),
                record.request,
                record.response,
            )
        )
        try:
            while data:
                data = data[os.write(file, data) :]
        except OSError:
            # After an error (a full disk, for example) the segment may end in a partial record:
            # start a new segment.
            self.close()
            raise

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def records(self) -> Iterator[Record]:
        """Yield all records, of each segment up to the first incomplete one.

        A crash cuts a record short; a power failure may fill the end of a segment with zeros.
        """
        for segment in self._segments():
            yield from _records_of(segment.read_bytes())

    def size_bytes(self) -> int:
        return sum(segment.stat().st_size for segment in self._segments())

    def discard_before(self, time_ns: int) -> None:
        """Remove all but the last of the segments that began before."""
        covered = [segment for segment in self._segments() if _began(segment) <= time_ns]
        for segment in covered[:-1]:
            segment.unlink(missing_ok=True)

    def discard_all(self) -> None:
        """Remove every segment. No process may append meanwhile."""
        self.close()
        for segment in self._segments():
            segment.unlink(missing_ok=True)

    def _begin_segment(self, now_ns: int) -> int:
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{now_ns:020d}.journal"
        file = self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._began_ns = now_ns
        return file

    def _segments(self) -> list[Path]:
        return sorted(self._folder.glob("*.journal"))


def _began(segment: Path) -> int:
    return int(segment.stem)


def _records_of(data: bytes) -> Iterator[Record]:
    position = 0
    while len(data) - position >= _HEADER.size:
        kind, request_size, response_size = _HEADER.unpack_from(data, position)
        start = position + _HEADER.size
        middle, end = start + request_size, start + request_size + response_size
        if end > len(data) or kind not in _KINDS:
            return
        yield Record(kind=CallKind(kind), request=data[start:middle], response=data[middle:end])
        position = end

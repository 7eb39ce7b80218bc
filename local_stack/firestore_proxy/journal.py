"""The journal: every confirmed write, appended to a file before the response.

A record survives SIGKILL of any process, because the operating system holds it. The disk has it
after the next `sync`. A segment is one file; segments are numbered in their order. An export covers
the segments that were followed by another one before the export began.
"""

import os
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import structlog

from local_stack.durable_files import sync

logger = structlog.get_logger(__name__)

MARKER_DATABASE = "projects/demo-restored-marker/databases/(default)"
MARKER = f"{MARKER_DATABASE}/documents/restored/marker"
"""The document that marks a run of the emulator as restored. No export covers its project."""
_HEADER = struct.Struct(">BIII")
_CHECKSUM = struct.Struct(">I")
SEGMENT_SECONDS = 5.0
_UNKNOWN_OVERLAP = 2**32 - 1


class CallKind(IntEnum):
    """The calls that write. The value is stored."""

    COMMIT = 1
    BATCH_WRITE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    kind: CallKind
    request: bytes
    response: bytes
    overlap: int = 0
    """How many records were stored while this call was in progress. The emulator may have made
    their writes after those of this call; it made the writes of all earlier records before."""


class Journal:
    """The segments in one folder. One process appends; any process may read, sync and discard."""

    def __init__(self, folder: Path, *, now: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._now = now
        self._file: int | None = None
        self._size = 0
        self._began_at = 0.0
        self.appended = 0
        """How many records this object has stored."""

    def append(self, record: Record) -> None:
        """Store a record. Returns when the operating system has it. Raises OSError."""
        now = self._now()
        file = self._file
        if file is None or now - self._began_at > SEGMENT_SECONDS:
            file = self._begin_segment(now)
        data = _encoded(record)
        end = self._size + len(data)
        try:
            while data:
                data = data[os.write(file, data) :]
        except OSError:  # a full disk, for example
            self._remove_partial_record(file)
            raise
        self._size = end
        self.appended += 1

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def records(self) -> Iterator[Record]:
        """Yield all records, of each segment up to the first incomplete one.

        SIGKILL cuts a record short. A power failure loses the end of the last segment, or fills it
        with zeros.
        """
        for segment in self._segments():
            data = segment.read_bytes()
            position = 0
            decode = _decoded if segment.suffix == ".segment" else _decoded_without_checksum
            while (found := decode(data, position)) is not None:
                record, position = found
                yield record
            if position < len(data):
                logger.warning(
                    "journal_segment_incomplete", segment=segment.name, unread_bytes=len(data) - position
                )

    def size_bytes(self) -> int:
        return sum(segment.stat().st_size for segment in self._segments())

    def sync(self) -> None:
        """Return when the disk has every record. Raises OSError.

        Only the last segment can have records that were not synced before it began.
        """
        for segment in self._segments()[-1:]:
            sync(segment)

    def last_segment(self) -> int:
        """Return the number of the last segment; 0 when there is none."""
        return max(map(_number, self._segments()), default=0)

    def discard_before(self, number: int) -> None:
        """Remove the segments before this one, the oldest first.

        The last segment is always kept, so a number is never used again.
        """
        for segment in self._segments()[:-1]:
            if _number(segment) < number:
                segment.unlink(missing_ok=True)

    def _begin_segment(self, now: float) -> int:
        """Start a file once the disk has all earlier ones: a power failure leaves no gap."""
        self.close()
        self._folder.mkdir(parents=True, exist_ok=True)
        self.sync()
        path = self._folder / f"{self.last_segment() + 1:020d}.segment"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._file = file = os.open(path, flags, 0o600)
        self._began_at, self._size = now, 0
        sync(self._folder)
        return file

    def _remove_partial_record(self, file: int) -> None:
        try:
            os.ftruncate(file, self._size)
        except OSError:
            self.close()  # the next append begins a new segment

    def _segments(self) -> list[Path]:
        """Return the files in their order. Versions without checksums named theirs `.journal`."""
        return sorted([*self._folder.glob("*.segment"), *self._folder.glob("*.journal")], key=_number)


def _number(segment: Path) -> int:
    return int(segment.stem)


def _encoded(record: Record) -> bytes:
    header = _HEADER.pack(record.kind, record.overlap, len(record.request), len(record.response))
    body = b"".join((header, record.request, record.response))
    return _CHECKSUM.pack(zlib.crc32(body)) + body


def _decoded(data: bytes, position: int) -> tuple[Record, int] | None:
    """Return the record at a position, and its end; None where no complete one is."""
    body = position + _CHECKSUM.size
    start = body + _HEADER.size
    if start > len(data):
        return None
    [checksum] = _CHECKSUM.unpack_from(data, position)
    kind, overlap, request_size, response_size = _HEADER.unpack_from(data, body)
    middle, end = start + request_size, start + request_size + response_size
    if end > len(data) or zlib.crc32(data[body:end]) != checksum:
        return None
    return (
        Record(kind=CallKind(kind), request=data[start:middle], response=data[middle:end], overlap=overlap),
        end,
    )


def _decoded_without_checksum(data: bytes, position: int) -> tuple[Record, int] | None:
    """Decode a record of a version whose records had neither a checksum nor an overlap."""
    header = struct.Struct(">BII")
    start = position + header.size
    if start > len(data):
        return None
    kind, request_size, response_size = header.unpack_from(data, position)
    middle, end = start + request_size, start + request_size + response_size
    if end > len(data) or kind not in tuple(CallKind):
        return None
    return (
        Record(
            kind=CallKind(kind),
            request=data[start:middle],
            response=data[middle:end],
            overlap=_UNKNOWN_OVERLAP,
        ),
        end,
    )

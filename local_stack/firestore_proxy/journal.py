"""The journal: every confirmed write, appended to a file before the response.

A record survives SIGKILL of any process, because the operating system holds it. The disk has it
after the next `sync`. A segment is one file; segments are numbered in their order. Each export
begins a segment, and covers the earlier ones: the emulator made their writes before.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
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
_SUFFIX = ".segment"
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
    """The segments in one folder. One process appends; any process may call the other methods."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None
        self._number = 0
        self._size = 0
        self.appended = 0
        """How many records this object has stored."""

    def append(self, record: Record) -> None:
        """Store the record of a write that was made. Raises OSError.

        Returns when the operating system has it.
        """
        file = self._file
        if file is None or self._path(self._number + 1).exists():
            file = self._open_last_segment()
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
            decode = _decoded if segment.suffix == _SUFFIX else _decoded_without_checksum
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

        Only the last two segments can have new ones: `append` may add a record to a segment at the
        moment when another process begins the next one.
        """
        for segment in self._segments()[-2:]:
            with suppress(FileNotFoundError):  # an export has deleted it
                sync(segment)

    def begin_segment(self) -> int:
        """Return the number of an empty segment at the end. Raises OSError.

        All records of earlier segments, even one that is being appended now, are of writes that the
        emulator has made already.
        """
        segments = self._segments()
        last = segments[-1] if segments else None
        if last is not None and last.suffix == _SUFFIX and not last.stat().st_size:
            return _number(last)
        number = _number(last) + 1 if last is not None else 1
        self._folder.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self._path(number), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        sync(self._folder)
        return number

    def discard_before(self, number: int) -> None:
        """Remove the segments before this one, the oldest first. This one must exist."""
        for segment in self._segments():
            if _number(segment) < number:
                segment.unlink(missing_ok=True)

    def _open_last_segment(self) -> int:
        """Open a file once the disk has all earlier ones: a power failure leaves no gap."""
        self.close()
        self.sync()
        self._number, self._size = self.begin_segment(), 0
        self._file = file = os.open(self._path(self._number), os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        return file

    def _remove_partial_record(self, file: int) -> None:
        try:
            os.ftruncate(file, self._size)
        except OSError:
            self.close()  # the next append begins a new segment

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:020d}{_SUFFIX}"

    def _segments(self) -> list[Path]:
        """Return the files in their order. Versions without checksums named theirs `.journal`."""
        return sorted([*self._folder.glob(f"*{_SUFFIX}"), *self._folder.glob("*.journal")], key=_number)


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

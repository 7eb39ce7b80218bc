"""The log of one process: a file of limited size, with the older part beside it as `.1`.

The process writes into a pipe, so that rotation loses no line. A process that writes to the file
itself would continue in the rotated file.
"""

import fcntl
import os
import select
import struct
import termios
import threading
from contextlib import suppress
from pathlib import Path

MAX_BYTES = 16 * 1024 * 1024
_CHUNK_BYTES = 65_536


class RotatingLog:
    """The log file of one process, over all its starts. Thread-safe."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._pipes: list[int] = []
        self._file: int | None = None
        self._size = 0
        self._is_at_line_start = True

    def begin(self) -> None:
        """Start an empty file. An existing one becomes `.1`."""
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._rotate()

    def new_pipe(self) -> int:
        """Return a descriptor to write to. Close it once the process has inherited it.

        Raises OSError or RuntimeError when the system has no descriptors or threads left.
        """
        reading, writing = os.pipe()
        copying = threading.Thread(
            target=self._copy, args=(reading,), name=f"log-{self.path.stem}", daemon=True
        )
        with self._lock:
            try:
                copying.start()
            except RuntimeError:
                os.close(reading)
                os.close(writing)
                raise
            self._pipes.append(reading)
        return writing

    def drain(self) -> None:
        """Return when the file contains everything that was printed before this call."""
        with self._lock:
            for pipe in self._pipes:
                unread = _unread_bytes(pipe)  # excludes what a running child writes meanwhile
                while unread > 0:
                    chunk = os.read(pipe, min(unread, _CHUNK_BYTES))
                    self._write_if_possible(chunk)
                    unread -= len(chunk)

    def _copy(self, pipe: int) -> None:
        while True:
            select.select([pipe], [], [])
            with self._lock:
                unread = _unread_bytes(pipe)
                chunk = os.read(pipe, min(unread, _CHUNK_BYTES)) if unread else b""
                if chunk:
                    self._write_if_possible(chunk)
                elif select.select([pipe], [], [], 0)[0] and not _unread_bytes(pipe):  # no writer is left
                    self._pipes.remove(pipe)
                    os.close(pipe)
                    return

    def _write_if_possible(self, chunk: bytes) -> None:
        """Ignore errors: a process must never wait for its log."""
        with suppress(OSError):
            self._write(chunk)

    def _write(self, chunk: bytes) -> None:
        if self._size + len(chunk) > self._max_bytes and self._size:
            if not self._is_at_line_start:  # a line is not split between two files
                end = chunk.find(b"\n") + 1
                self._append(chunk[:end])
                chunk = chunk[end:]
            if self._is_at_line_start:
                self._rotate()
        self._append(chunk)

    def _append(self, data: bytes) -> None:
        if not data:
            return
        file = self._file if self._file is not None else self._open()
        self._is_at_line_start = data.endswith(b"\n")
        self._size += len(data)
        while data:
            data = data[os.write(file, data) :]

    def _rotate(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self.path.exists():
            self.path.replace(rotated_path(self.path))
        self._size, self._is_at_line_start = 0, True
        self._open()

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        self._file = file = os.open(self.path, flags, 0o644)
        self._size = os.fstat(file).st_size
        return file


def rotated_path(path: Path) -> Path:
    """Return the path of the older part."""
    return path.with_name(path.name + ".1")


def _unread_bytes(pipe: int) -> int:
    return int(struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0\0\0\0"))[0])

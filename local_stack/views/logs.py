"""Show the processes' logs on a terminal, each line with its process's name."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local_stack.errors import LocalStackError
from local_stack.processes.child_process import log_tail
from local_stack.processes.rotating_log import rotated_path

_POLL_SECONDS = 0.2


def select_logs(folder: Path, name: str | None) -> list[Path]:
    """Return one log, or all of them. Raises LocalStackError that lists the existing ones."""
    known = sorted(folder.glob("*.log"))
    selected = [path for path in known if name in (None, path.stem)]
    if not selected:
        if not known:
            raise LocalStackError(f"{folder} contains no logs yet.")
        names = ", ".join(path.stem for path in known)
        raise LocalStackError(f"{folder} contains no log of {name}. Available: {names}.")
    return selected


def show(paths: list[Path], *, lines: int, write: Callable[[str], None]) -> None:
    for path in paths:
        for line in log_tail(path, lines):
            write(_with_label(path, line, paths))


def follow(paths: list[Path], write: Callable[[str], None]) -> Iterator[None]:
    """Write lines as they are added. Yields after each poll, so that the caller can stop."""
    positions = {path: _Position(file=path.stat().st_ino, offset=path.stat().st_size) for path in paths}
    while True:
        for path, position in positions.items():
            for line in _new_lines(path, position):
                write(_with_label(path, line, paths))
        yield
        time.sleep(_POLL_SECONDS)  # polling: inotify would be more complex than a terminal view needs


@dataclass(slots=True, kw_only=True)
class _Position:
    """The read position in a log. The inode number reveals that the log was rotated."""

    file: int
    offset: int


def _new_lines(path: Path, position: _Position) -> list[str]:
    found = path.stat()
    lines: list[str] = []
    if found.st_ino != position.file:
        older = rotated_path(path)
        if older.exists() and older.stat().st_ino == position.file:
            lines += _read(older, position.offset).decode("utf-8", "replace").splitlines()
        position.file, position.offset = found.st_ino, 0
    elif found.st_size < position.offset:
        position.offset = 0
    whole_lines, line_break, _ = _read(path, position.offset).rpartition(b"\n")
    position.offset += len(whole_lines) + len(line_break)
    return lines + whole_lines.decode("utf-8", "replace").splitlines()


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as log:
        log.seek(offset)
        return log.read()


def _with_label(path: Path, line: str, paths: list[Path]) -> str:
    return line if len(paths) == 1 else f"{path.stem:>18} | {line}"

"""Show the processes' logs on a terminal, each line prefixed with its process's name."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from local_stack.errors import LocalStackError
from local_stack.processes.bounded_log import older_part
from local_stack.processes.child_process import log_tail

_POLL_SECONDS = 0.2


def chosen_logs(folder: Path, name: str | None) -> list[Path]:
    """Return one log, or all of them. Raises LocalStackError that lists the existing ones."""
    known = sorted(folder.glob("*.log"))
    chosen = [path for path in known if name in (None, path.stem)]
    if not chosen:
        if not known:
            raise LocalStackError(f"There are no logs in {folder} yet.")
        names = ", ".join(path.stem for path in known)
        raise LocalStackError(f"There is no log of {name} in {folder}; there are: {names}.")
    return chosen


def show(paths: list[Path], *, lines: int, write: Callable[[str], None]) -> None:
    """Show the last lines of each log."""
    for path in paths:
        for line in log_tail(path, lines):
            write(_labelled(path, line, paths))


def follow(paths: list[Path], write: Callable[[str], None]) -> Iterator[None]:
    """Write lines that are added to the logs from now on.

    Yields after each poll, so that the caller can stop.
    """
    positions = {path: _Position(file=path.stat().st_ino, offset=path.stat().st_size) for path in paths}
    while True:
        for path, position in positions.items():
            for line in _new_lines(path, position):
                write(_labelled(path, line, paths))
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
        older = older_part(path)
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


def _labelled(path: Path, line: str, paths: list[Path]) -> str:
    return line if len(paths) == 1 else f"{path.stem:>18} | {line}"

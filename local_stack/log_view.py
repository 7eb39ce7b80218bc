"""Showing the processes' logs on a terminal, each line with its process's name."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from local_stack.errors import LocalStackError
from local_stack.processes import log_tail

_POLL_SECONDS = 0.2


def chosen_logs(folder: Path, name: str | None) -> list[Path]:
    """One log, or all of them. Raises LocalStackError that names those that exist."""
    known = sorted(folder.glob("*.log"))
    chosen = [path for path in known if name in (None, path.stem)]
    if not chosen:
        if not known:
            raise LocalStackError(f"There are no logs in {folder} yet.")
        names = ", ".join(path.stem for path in known)
        raise LocalStackError(f"There is no log of {name} in {folder}; there are: {names}.")
    return chosen


def show(paths: list[Path], *, lines: int, write: Callable[[str], None]) -> None:
    """The last lines of each."""
    for path in paths:
        for line in log_tail(path, lines):
            write(_labelled(path, line, paths))


def follow(paths: list[Path], write: Callable[[str], None]) -> Iterator[None]:
    """Write whatever is added to the logs from now on. Yields after each look: the caller decides when to end."""
    positions = {path: path.stat().st_size for path in paths}
    while True:
        for path in paths:
            positions[path] = _write_new_lines(path, positions[path], paths, write)
        yield
        time.sleep(_POLL_SECONDS)  # a growing file wakes nobody, but through inotify: much ado for a terminal


def _write_new_lines(path: Path, position: int, paths: list[Path], write: Callable[[str], None]) -> int:
    with path.open("rb") as log:
        if path.stat().st_size < position:  # a new start, a new log
            position = 0
        log.seek(position)
        whole_lines, _, _ = log.read().rpartition(b"\n")
    if not whole_lines:
        return position
    for line in whole_lines.decode("utf-8", "replace").splitlines():
        write(_labelled(path, line, paths))
    return position + len(whole_lines) + 1


def _labelled(path: Path, line: str, paths: list[Path]) -> str:
    return line if len(paths) == 1 else f"{path.stem:>18} | {line}"

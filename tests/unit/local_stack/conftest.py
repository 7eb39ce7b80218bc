"""Small programs for the supervisor to manage, and a record of what is done to files."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from local_stack.processes.child_process import ProcessSpec

ProgramMaker = Callable[..., ProcessSpec]


@pytest.fixture
def program(tmp_path: Path) -> ProgramMaker:
    """Return a maker of ProcessSpecs from Python source that calls `ready()` when it is ready."""

    def make(name: str, source: str, *, ready_within: float = 60, stop_within: float = 30) -> ProcessSpec:
        ready_file, script = tmp_path / f"{name}.ready", tmp_path / f"{name}.py"
        imports = "import pathlib, signal, subprocess, sys, time"
        ready = f"def ready(): pathlib.Path({str(ready_file)!r}).touch()"
        script.write_text("\n".join((imports, ready, textwrap.dedent(source))))
        return ProcessSpec(
            name=name,
            argv=(sys.executable, "-S", str(script)),
            why_not_ready=lambda _pid: None if ready_file.exists() else "ready() was not called",
            ready_within_seconds=ready_within,
            stop_within_seconds=stop_within,
        )

    return make


@pytest.fixture
def file_steps(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Path]]:
    """Return a list that grows by each creation, write, fsync, renaming (to a name) and deletion."""
    steps: list[tuple[str, Path]] = []
    real_open, real_write, real_fsync = os.open, os.write, os.fsync
    real_replace, real_unlink, real_rmtree = Path.replace, Path.unlink, shutil.rmtree

    def opened(path: Path, flags: int, *arguments: int, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT:
            steps.append(("create", Path(path)))
        return real_open(path, flags, *arguments, dir_fd=dir_fd)

    def written(descriptor: int, data: bytes) -> int:
        steps.append(("write", _path_of(descriptor)))
        return real_write(descriptor, data)

    def synced(descriptor: int) -> None:
        steps.append(("sync", _path_of(descriptor)))
        real_fsync(descriptor)

    def replaced(self: Path, target: Path) -> Path:
        steps.append(("rename", target))
        return real_replace(self, target)

    def unlinked(self: Path, missing_ok: bool = False) -> None:
        steps.append(("delete", self))
        real_unlink(self, missing_ok)

    def removed(path: Path, *, ignore_errors: bool) -> None:
        steps.append(("delete", path))
        real_rmtree(path, ignore_errors=ignore_errors)

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "write", written)
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    monkeypatch.setattr(Path, "unlink", unlinked)
    monkeypatch.setattr(shutil, "rmtree", removed)
    return steps


def _path_of(descriptor: int) -> Path:
    return Path(f"/proc/self/fd/{descriptor}").readlink()

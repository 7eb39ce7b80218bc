"""A running stack whose disk becomes full."""

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest

from local_stack.__main__ import _report
from local_stack.data_directory import DataDirectory
from local_stack.processes.child_process import ProcessSpec
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.chaos.waiting import wait_for
from tests.supervision import watched

PROGRAM = ProcessSpec(
    name="firestore-emulator", argv=(sys.executable, "-c", "import signal; signal.pause()"), restarts=True
)


def fail(*_: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@contextmanager
def stack_on_full_disk(folder: Path, notices: list[str]) -> Iterator[LocalStack]:
    """Yield a stack that runs one program, on a disk that is full from then on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalStack, "_start_all", lambda stack: stack._supervisor.start(PROGRAM))
        with LocalStack(StackSettings(data_directory=folder), notices.append) as stack:
            patch.setattr(Path, "write_text", fail)
            yield stack


def test_restart_does_not_end_the_stack(tmp_path: Path) -> None:
    notices: list[str] = []
    with stack_on_full_disk(tmp_path, notices) as stack, watched(stack):
        stack.process("firestore-emulator").kill()
        wait_for(lambda: any("is ready again" in notice for notice in notices), "the restart")
    assert any("No space left" in notice for notice in notices)


def test_stop_ends_the_programs_and_releases_the_directory(tmp_path: Path) -> None:
    notices: list[str] = []
    with stack_on_full_disk(tmp_path, notices) as stack:
        program = stack.process("firestore-emulator")
    assert not program.is_running
    assert not DataDirectory(tmp_path).is_in_use()
    assert DataDirectory(tmp_path).state() is None
    assert any("No space left" in notice for notice in notices)


def test_notice_is_skipped_when_the_log_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    class FullLog(StringIO):
        def flush(self) -> None:
            fail()

    monkeypatch.setattr(sys, "stdout", FullLog())
    _report("worker-0 restarts.")

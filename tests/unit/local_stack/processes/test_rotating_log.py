"""Logs of bounded size, from real processes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local_stack.processes.child_process import ChildProcess, ProcessSpec
from local_stack.processes.rotating_log import MAX_BYTES, RotatingLog, rotated_path
from local_stack.views.logs import follow


def finished(tmp_path: Path, code: str) -> ChildProcess:
    process = ChildProcess(
        ProcessSpec(name="talker", argv=(sys.executable, "-c", code)),
        logs_directory=tmp_path,
        stack_environment={},
    )
    process.start()
    assert process.wait_stopped(60)
    assert not process.is_running
    return process


def test_log_keeps_the_newest_lines_within_its_limit(tmp_path: Path) -> None:
    line = "x" * 999
    process = finished(tmp_path, f"for n in range(40_000): print('%07d' % n + '{line}')\nprint('last')")
    kept = process.log_path.read_text(), rotated_path(process.log_path).read_text()
    assert max(len(text) for text in kept) <= MAX_BYTES
    assert kept[0].splitlines()[-1] == "last"
    numbers = [int(text[:7]) for text in (kept[1] + kept[0]).splitlines()[:-1]]
    assert numbers == list(range(numbers[0], 40_000))  # no line is missing or cut
    assert len(list(tmp_path.iterdir())) == 2


def test_log_is_complete_when_the_exit_is_visible(tmp_path: Path) -> None:
    process = finished(tmp_path, "print('a'); print('b', end='')")
    assert process.log_path.read_text() == "a\nb"


def test_rotation_splits_no_line(tmp_path: Path) -> None:
    log = RotatingLog(tmp_path / "some.log", max_bytes=10)
    log.begin()
    for chunk in (b"12345", b"678", b"9 end\nnext\n"):
        log._write(chunk)
    assert rotated_path(log.path).read_text() == "123456789 end\n"
    assert log.path.read_text() == "next\n"


def test_process_continues_when_its_log_is_unwritable(tmp_path: Path) -> None:
    code = "import sys\nfor _ in sys.stdin: print('x' * 99, flush=True)"
    log = RotatingLog(tmp_path / "logs" / "some.log", max_bytes=1_000)
    log.begin()
    pipe = log.new_pipe()
    with subprocess.Popen(
        (sys.executable, "-c", code), stdin=subprocess.PIPE, stdout=pipe, text=True
    ) as talker:
        os.close(pipe)
        shutil.rmtree(log.path.parent)
        try:
            talker.communicate("\n" * 5_000, timeout=60)  # half a megabyte, of which the pipe holds 64 KiB
        except subprocess.TimeoutExpired:
            talker.kill()
            raise
    log.path.parent.mkdir()
    log._write_if_possible(b"written again\n")
    assert log.path.read_text() == "written again\n"


@pytest.mark.parametrize("count", [1, 3])
def test_follow_shows_every_line_across_a_rotation(tmp_path: Path, count: int) -> None:
    log, lines = RotatingLog(tmp_path / "some.log", max_bytes=40), list[str]()
    log.begin()
    log._write(b"a line before\n")
    watching = follow([log.path], lines.append)
    next(watching)
    expected = [f"line {number}" for number in range(4 + count)]
    for line in expected:
        log._write(f"{line}\n".encode())
    next(watching)
    assert lines == expected

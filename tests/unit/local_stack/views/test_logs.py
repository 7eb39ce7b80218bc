"""Logs as `make logs` shows them."""

import subprocess
import sys
from pathlib import Path

import pytest

from local_stack.data_directory import DataDirectory
from local_stack.errors import LocalStackError
from local_stack.views.logs import follow, select_logs, show

ROOT = Path(__file__).parents[4]


def test_logs_are_labelled_and_followed(tmp_path: Path) -> None:
    (tmp_path / "api.log").write_text("one\ntwo\n")
    (tmp_path / "worker-0.log").write_text("three\n")
    lines: list[str] = []
    paths = select_logs(tmp_path, None)
    show(paths, lines=1, write=lines.append)
    assert [line.strip() for line in lines] == ["api | two", "worker-0 | three"]
    lines.clear()
    watching = follow(select_logs(tmp_path, "api"), lines.append)
    next(watching)
    with (tmp_path / "api.log").open("a") as log:
        log.write("four\nunfini")
    next(watching)
    with (tmp_path / "api.log").open("a") as log:
        log.write("shed\n")
    next(watching)
    (tmp_path / "api.log").write_text("new\n")
    next(watching)
    assert lines == ["four", "unfinished", "new"]


def test_logs_exits_cleanly_when_the_reader_closes_the_pipe(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    data.make_logs()
    (data.logs / "api.log").write_text("a line that fills the pipe\n" * 20_000)
    showing = subprocess.Popen(
        [sys.executable, "-m", "local_stack", "logs", "--data-dir", str(tmp_path), "--lines", "20000"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert showing.stdout is not None
    assert showing.stdout.readline().endswith(b"pipe\n")
    showing.stdout.close()
    assert showing.stderr is not None
    assert (showing.wait(timeout=60), showing.stderr.read()) == (0, b"")
    showing.stderr.close()


def test_select_logs_raises_a_message_without_a_match(tmp_path: Path) -> None:
    with pytest.raises(LocalStackError, match="contains no logs yet"):
        select_logs(tmp_path, None)
    (tmp_path / "api.log").touch()
    with pytest.raises(LocalStackError, match=r"no log of wroker.*Available: api"):
        select_logs(tmp_path, "wroker")

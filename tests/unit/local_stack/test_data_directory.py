"""One stack on one data directory."""

import errno
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from local_stack.data_directory import DataDirectory, StackState
from local_stack.errors import DataDirectoryUnusableError, StackAlreadyRunningError

ROOT = Path(__file__).parents[3]
STATE = StackState(
    stack_id="id", phase="ready", supervisor_pid=4711, started_at="now", page_url="http://localhost:8080/"
)


def test_acquire_is_rejected_while_a_stack_is_running(tmp_path: Path) -> None:
    first, second = DataDirectory(tmp_path), DataDirectory(tmp_path)
    first.acquire()
    first.write_state(STATE)
    assert second.is_in_use()
    message = r"already running .*process 4711, its page is http://localhost:8080/.*make down"
    with pytest.raises(StackAlreadyRunningError, match=message):
        second.acquire()
    first.release()
    assert not second.is_in_use()
    second.acquire()


def test_lock_is_released_when_its_owner_is_killed(tmp_path: Path) -> None:
    source = (
        "import sys, pathlib, time; from local_stack.data_directory import DataDirectory\n"
        "owner = DataDirectory(pathlib.Path(sys.argv[1])); owner.acquire(); print('owned', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", source, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"owned\n"
        assert DataDirectory(tmp_path).is_in_use()
        owner.kill()
        owner.wait()
    DataDirectory(tmp_path).acquire()


def test_unused_directory_is_free_and_not_created(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path / "new")
    assert not data.is_in_use()
    assert data.state() is None
    assert not data.path.exists()


def test_state_round_trips(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    data.write_state(STATE)
    assert data.state() == STATE
    data.clear_state()
    assert data.state() is None
    (tmp_path / "state.json").write_text('{"stack_id": 1')
    assert data.state() is None


def test_full_disk_keeps_the_previous_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = DataDirectory(tmp_path)
    data.write_state(STATE)
    data.write_browser_port(1)

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(DataDirectoryUnusableError, match=r"No space left .*DATA_DIR="):
        data.write_state(replace(STATE, phase="stopping"))
    with pytest.raises(DataDirectoryUnusableError, match=r"No space left .*DATA_DIR="):
        data.write_browser_port(2)
    assert data.state() == STATE
    assert data.browser_port == 1


def test_not_running_message_contains_the_last_failure(tmp_path: Path) -> None:
    data = DataDirectory(tmp_path)
    assert data.not_running_message() == f"Nothing is running on {tmp_path}."
    data.write_state(replace(STATE, phase="failed", failure="api exited unexpectedly (SIGKILL)."))
    assert data.not_running_message().endswith("The stack stopped because api exited unexpectedly (SIGKILL).")
    data.write_state(STATE)
    assert "(process 4711) exited unexpectedly. The logs are in" in data.not_running_message()


def test_unusable_directory_raises_a_message(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        data = DataDirectory(path)
        for use in (data.acquire, data.make_logs, data.is_in_use):
            with pytest.raises(DataDirectoryUnusableError, match=r"Use another directory with DATA_DIR="):
                use()

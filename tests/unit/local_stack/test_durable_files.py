"""Files that survive a power failure."""

import os
from pathlib import Path

import pytest

from local_stack.durable_files import replace_file, sync_tree


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files and folders that were synced."""
    names: list[str] = []
    real_fsync = os.fsync

    def fsync(descriptor: int) -> None:
        names.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real_fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return names


def test_replaced_file_is_synced_before_its_name(tmp_path: Path, synced: list[str]) -> None:
    path = tmp_path / "a"
    replace_file(path, "first")
    replace_file(path, "second")
    assert path.read_text() == "second"
    assert synced == [".a.new", tmp_path.name] * 2
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("failing", ["write_text", "replace"])
def test_failed_replacement_keeps_the_previous_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    path = tmp_path / "a"
    replace_file(path, "first")

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(Path, failing, fail)
        with pytest.raises(OSError, match="full"):
            replace_file(path, "second")
    assert path.read_text() == "first"
    assert list(tmp_path.iterdir()) == [path]


def test_tree_is_synced_with_all_its_folders(tmp_path: Path, synced: list[str]) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "file").touch()
    sync_tree(tmp_path)
    assert sorted(synced) == sorted(["a", "b", "file", tmp_path.name])

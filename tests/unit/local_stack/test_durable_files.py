"""Files that survive a power failure."""

import errno
import os
from pathlib import Path

import pytest

from local_stack.durable_files import replace_file, sync, sync_tree


def test_replaced_file_is_synced_before_its_name(tmp_path: Path, file_steps: list[tuple[str, Path]]) -> None:
    path = tmp_path / "a"
    for text in ("first", "second"):
        file_steps.clear()
        replace_file(path, text)
        assert path.read_text() == text
        assert file_steps == [("sync", tmp_path / ".a.new"), ("rename", path), ("sync", tmp_path)]
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


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_folder_that_cannot_be_synced_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", refuse)
    sync(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=os.strerror(code)):
        sync(tmp_path / "file")


def test_tree_is_synced_with_all_its_folders(tmp_path: Path, file_steps: list[tuple[str, Path]]) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    (folder / "file").write_text("text")
    sync_tree(tmp_path)
    assert set(file_steps) == {("sync", path) for path in (tmp_path, folder.parent, folder, folder / "file")}

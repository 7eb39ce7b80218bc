"""The folders in which the rehearsal builds; it runs as root, so the tests replace the steps and the server."""

from pathlib import Path

import pytest

from tests.infrastructure.dockerfiles import Stage
from tools import rehearsal


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    base = tmp_path / "base"
    base.mkdir()
    (base / "of-the-base").touch()
    work = tmp_path / "work"
    for folder in ("api-gateway", "api-0"):
        (work / folder).mkdir(parents=True)
        (work / folder / "of-another").touch()
    monkeypatch.setattr(rehearsal, "_bases", lambda _work: {"python": base})
    monkeypatch.setattr(rehearsal, "stages", lambda _image: [Stage(base="python:3.13", name=None)])
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.setattr("shutil.which", lambda _program: "/usr/bin/true")
    monkeypatch.setattr("sys.argv", ["rehearsal", "api", "--work", str(work)])
    return work


def files_in(work: Path) -> set[str]:
    return {str(path.relative_to(work)) for path in work.rglob("*")}


@pytest.mark.parametrize("fails", [False, True])
def test_rehearsal_removes_only_what_it_has_made(
    work: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    before, built = files_in(work), []

    def serve(_rehearsal: rehearsal.Rehearsal, root: rehearsal.BuildRoot) -> None:
        built.append([path.name for path in root.root.iterdir()])
        if fails:
            raise SystemExit("api: exit code 1")

    monkeypatch.setattr(rehearsal.Rehearsal, "serve", serve)
    if fails:
        with pytest.raises(SystemExit):
            rehearsal.main()
    else:
        rehearsal.main()
    assert built == [["of-the-base"]]
    assert files_in(work) == before

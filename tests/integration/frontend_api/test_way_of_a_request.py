"""docs/architecture.md lists the files that a submission passes, from its arrival to its 202."""

import re
import sys
from pathlib import Path
from types import FrameType

import pytest

from frontend_api.wsgi import build_app
from tests.emulators import Emulators

pytestmark = pytest.mark.emulator
ROOT = Path(__file__).parents[3]
CALLED_AFTER_A_CONFLICT = {"common/backoff.py"}
"""Files of retries, which a submission calls only if another writer changes a document meanwhile."""


@pytest.fixture
def called_files(emulators: Emulators, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The project's files whose functions the thread of a submission calls, with cold caches."""
    for name, value in emulators.environment.items():
        monkeypatch.setenv(name, value)
    for dependency in ("STORE", "PUBLISH"):  # on a busy machine, slow emulators must not count as unavailable
        monkeypatch.setenv(f"DARKROOM_{dependency}_TIMEOUT_SECONDS", "30")
    client = build_app().test_client()
    called: set[Path] = set()

    def record(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            called.add(Path(frame.f_code.co_filename))

    sys.setprofile(record)
    try:
        response = client.post("/v1/tasks", json={"prompt": "a red circle"})
    finally:
        sys.setprofile(None)
    assert response.status_code == 202
    packages = (ROOT / "common", ROOT / "frontend_api")
    return {str(path.relative_to(ROOT)) for path in called if any(map(path.is_relative_to, packages))}


def test_architecture_page_lists_the_files_of_a_submission(called_files: set[str]) -> None:
    section = (ROOT / "docs" / "architecture.md").read_text().partition("## The way of a request\n")[2]
    listed = re.findall(r"^\| `([\w/]+\.py)`", section.partition("\n## ")[0], re.MULTILINE)
    assert set(listed) == called_files - CALLED_AFTER_A_CONFLICT

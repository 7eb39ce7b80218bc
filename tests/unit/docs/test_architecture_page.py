"""docs/architecture.md lists every package."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "architecture.md").read_text()


@pytest.mark.parametrize("process", ["frontend_api", "gpu_subscriber", "common", "local_stack"])
def test_architecture_page_lists_every_package(process: str) -> None:
    section = re.search(rf"^### `{process}`.*?(?=^##)", PAGE, re.DOTALL | re.MULTILINE)
    assert section
    listed = set(
        re.findall(r"`([\w/]+)`", "\n".join(re.findall(r"^\| ([^|]+) \|", section[0], re.MULTILINE)))
    )
    folder = ROOT / process
    packages = {file.parent.relative_to(folder).as_posix() for file in folder.glob("*/**/__init__.py")}
    concepts = {package for package in packages if "/" not in package or package.startswith("engine/")}
    assert len(concepts) > 4
    assert {package for package in concepts if package.count("/") < 2} - listed == set()

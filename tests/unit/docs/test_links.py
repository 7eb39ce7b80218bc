"""Links between the Markdown files lead to existing files and headings."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_LISTING = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
_FILES = subprocess.run(_LISTING, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
PAGES = sorted(set(_FILES) - {"CHANGELOG.md"})
"""Entries of the changelog name files as they were in their release."""


def prose(page: Path) -> str:
    return re.sub(r"^( *)```.*?^\1```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", PAGES)
def test_links_of_a_page_exist(name: str) -> None:
    page = ROOT / name
    if not page.exists():
        pytest.skip("deleted, not yet committed")
    broken = []
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose(page)):
        if "://" in target:
            continue
        path = page.parent / target if target else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            broken.append(f"{target}#{anchor}")
    assert broken == []

"""Links and names in the Markdown files lead somewhere, and prose wraps at 100 columns."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
_LISTING = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
_LISTED = subprocess.run(_LISTING, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
FILES = [name for name in _LISTED if (ROOT / name).exists()]
PAGES = sorted(name for name in FILES if name.endswith(".md") and name != "CHANGELOG.md")
"""Without the changelog, whose entries name files as they were in their release."""
FOLDERS = (
    "benchmarks|clients|common|docs|frontend_api|gpu_subscriber|local_stack|scripts|terraform|tests|tools"
)
EXAMPLE = re.compile("NAME|spending_limits")
"""Files of the worked examples."""

every_page = pytest.mark.parametrize("name", PAGES)


def prose(page: Path) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^( *)```.*?^\1```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def code_of(page: Path) -> list[str]:
    """Return the inline code of a page."""
    return re.findall(r"`([^`\n]+)`", prose(page))


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_links_of_a_page_lead_somewhere(name: str) -> None:
    page = ROOT / name
    broken = []
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", prose(page)):
        if "://" in target:
            continue
        path = page.parent / target if target else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            broken.append(f"{target}#{anchor}")
    assert broken == []


@every_page
def test_files_in_a_page_exist(name: str) -> None:
    missing = []
    for code in code_of(ROOT / name):
        if re.fullmatch(r"[\w.-]+(?:/[\w.-]+)*\.(?:py|tf|ts|md|rules)", code) and not EXAMPLE.search(code):
            if not any(f"/{file}".endswith(f"/{code}") for file in FILES):
                missing.append(code)
        elif re.fullmatch(rf"(?:{FOLDERS})(?:/\w+)*/?", code) and not (ROOT / code).exists():
            missing.append(code)
    assert missing == []


@every_page
def test_prose_of_a_page_wraps_at_100_columns(name: str) -> None:
    lines = [
        line for line in prose(ROOT / name).splitlines() if not line.lstrip().startswith(("|", "!", "#"))
    ]
    assert [line for line in lines if len(line) > 100 and "https://" not in line] == []


@every_page
def test_rows_of_a_table_have_as_many_cells_as_its_head(name: str) -> None:
    text = re.sub(r"`[^`\n]+`", "", prose(ROOT / name))
    tables = [table.splitlines() for table in re.findall(r"(?:^ *\|.*\n)+", text, re.MULTILINE)]
    assert [row for table in tables for row in table if row.count("|") != table[0].count("|")] == []


def test_each_decision_has_its_own_number() -> None:
    numbers = [path.name[:4] for path in (ROOT / "docs" / "adr").glob("[0-9]*.md")]
    assert sorted(numbers) == sorted(set(numbers))


def test_tests_in_the_pages_exist() -> None:
    tests = "\n".join((ROOT / name).read_text() for name in FILES if re.search(r"(?:^|/)test_\w+\.py$", name))
    named = {code for name in PAGES for code in code_of(ROOT / name) if re.fullmatch(r"test_\w+", code)}
    assert {name for name in named if f"def {name}(" not in tests} == set()


def test_log_events_of_the_runbook_exist() -> None:
    runbook = (ROOT / "docs" / "operating" / "runbook.md").read_text()
    product = "\n".join((ROOT / name).read_text() for name in FILES if re.match(r"\w+/.*\.py$", name))
    events = set(re.findall(r"`logged (\w+)`", runbook))
    assert len(events) > 15
    assert {event for event in events if f'"{event}"' not in product} == set()

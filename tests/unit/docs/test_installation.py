"""No text installs darkroom by its name: on the public indexes that is another project."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
TEXTS = {".md", ".py", ".sh", ".ts", ".js", ".mjs", ".html", ".yaml", ".yml", ".tf", ".toml", ""}
INSTALLS = re.compile(
    r"\b(?:pip3?|pipx|uv|uvx|poetry|pdm|conda|npm|npx|yarn|pnpm)\s+(?:[a-z-]+\s+)*?(?:install|add|run|i|exec)?\b[^\n`#;|]*"
)
BY_NAME = re.compile(r"(?<![\w./:@-])darkroom(?:-client)?(?![\w./-])")
EXTRA = re.compile(r"(?<![\w./])darkroom\[[a-z]")


def texts() -> list[Path]:
    """Return every text that users may see; without tests, and without pyproject.toml's own extras."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        ROOT / name
        for name in listed.stdout.splitlines()
        if Path(name).suffix in TEXTS
        and not name.startswith(("tests/", "."))
        and Path(name).name != "pyproject.toml"
        and (ROOT / name).is_file()
    ]


def installs_by_name(text: str) -> list[str]:
    """Return the commands that would install a package called darkroom from an index."""
    commands = [found.group() for found in INSTALLS.finditer(text)]
    return [command for command in commands if BY_NAME.search(command)] + EXTRA.findall(text)


def test_no_text_installs_darkroom_from_an_index() -> None:
    found = {}
    for path in texts():
        try:
            commands = installs_by_name(path.read_text())
        except UnicodeDecodeError:
            continue
        if commands:
            found[str(path.relative_to(ROOT))] = commands
    assert len(texts()) > 200
    assert found == {}


@pytest.mark.parametrize(
    ("text", "is_found"),
    [
        ("`pip install 'darkroom[client]'` brings", True),
        ("pip install darkroom", True),
        ("python -m pip install --upgrade darkroom", True),
        ("uv pip install darkroom==0.1", True),
        ("pipx install darkroom", True),
        ("npm install darkroom-client", True),
        ("needs darkroom[worker]", True),
        ("pip install '.[client]'   # in the checkout's folder", False),
        ("pip install ./darkroom", False),
        ("pip install --target /app . # darkroom", False),
        ('google_container_cluster.darkroom["darkroom"].name', False),
        (".venv/bin/darkroom generate", False),
    ],
)
def test_installation_search_finds_examples(text: str, is_found: bool) -> None:
    assert bool(installs_by_name(text)) == is_found

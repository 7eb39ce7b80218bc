"""The examples say how they are called. Their work is tested against the whole system."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[3] / "examples"
PROGRAMS = {".py": sys.executable, ".sh": "bash", ".mjs": shutil.which("node") or ""}


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.iterdir() if path.suffix in PROGRAMS))
def test_example_without_arguments_prints_its_usage(name: str) -> None:
    program = PROGRAMS[Path(name).suffix]
    if not program:
        pytest.skip("Node is not installed")
    done = subprocess.run([program, EXAMPLES / name], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: ")
    assert name in done.stderr

"""The Python interpreter that the Makefile chooses."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PYTHONS = ("python3.14", "python3.13", "python3.12", "python3.11")


@pytest.mark.parametrize(
    ("working", "chosen"),
    [
        ({"python3.14", "python3.11"}, "python3.14"),
        ({"python3.12", "python3.11"}, "python3.12"),
        (set(), ""),
    ],
)
def test_makefile_chooses_the_newest_working_python(tmp_path: Path, working: set[str], chosen: str) -> None:
    for name in PYTHONS:
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\nexit {0 if name in working else 127}\n")
        program.chmod(0o755)
    # `make test-unit PYTHON=...` passes the variable on in MAKEFLAGS, too.
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHON", "MAKEFLAGS", "MAKEOVERRIDES")
    }
    ran = subprocess.run(
        ["make", "--silent", "--eval", "chosen:\n\t@echo '$(PYTHON)'", "chosen"],
        cwd=ROOT,
        env={**environment, "PATH": f"{tmp_path}:{environment['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.strip() == chosen

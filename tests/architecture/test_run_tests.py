"""How continuous integration repeats tests that failed: .ci/run_tests with small tests of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HELPERS = """
import os
from pathlib import Path

def is_first_run(name):
    mark = Path(__file__).with_name(name)
    if mark.exists():
        return False
    mark.touch()
    return True
"""
PASSES = "def test_passes(): pass"
FLAKY = "def test_flaky(): assert not is_first_run('flaky')"
FAILS = "def test_fails(): raise AssertionError"


def run(folder: Path, **files: str) -> tuple[int, str, str]:
    """Run these test files. Return the exit status, the output, and the tests that passed when repeated."""
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(f"{HELPERS}\n{text}\n")
    (folder / "pytest.ini").touch()
    (folder / "Makefile").write_text("test:\n\tpython -m pytest $(TESTS)\n")
    ran = subprocess.run(
        [ROOT / ".ci" / "run_tests", "results", "--rootdir", folder, "-c", folder / "pytest.ini", folder],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTEST_ADDOPTS": "",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    flaky = folder / "results" / "flaky.txt"
    return ran.returncode, ran.stdout, flaky.read_text() if flaky.exists() else ""


def test_run_succeeds_without_failures(tmp_path: Path) -> None:
    status, output, flaky = run(tmp_path, all=PASSES)
    assert (status, flaky) == (0, "")
    assert "repeating" not in output


def test_test_that_passes_when_repeated_is_named(tmp_path: Path) -> None:
    status, output, flaky = run(tmp_path, passing=PASSES, flaky=FLAKY)
    assert (status, flaky) == (0, "test_flaky.py::test_flaky\n")
    assert "1 passed" in output.partition("repeating the failed tests")[2], "only the failed test is repeated"


def test_test_that_fails_again_fails_the_run(tmp_path: Path) -> None:
    status, _, flaky = run(tmp_path, flaky=FLAKY, failing=FAILS)
    assert status != 0
    assert flaky == ""


def test_many_failures_are_not_repeated(tmp_path: Path) -> None:
    flaky = "\n".join(FLAKY.replace("flaky", f"flaky_{number}") for number in range(4))
    status, output, _ = run(tmp_path, many=flaky)
    assert status == 1
    assert "repeating" not in output


@pytest.mark.parametrize(
    "ends",
    [
        "def test_ends():\n    if is_first_run('ended'): raise KeyboardInterrupt",
        "def test_ends():\n    if is_first_run('ended'): os._exit(1)",
        "if is_first_run('ended'): raise MemoryError",
    ],
    ids=["interrupted", "killed", "not collected"],
)
def test_run_that_ends_early_fails_without_a_repetition(tmp_path: Path, ends: str) -> None:
    """Otherwise the tests that have not run would count as passed."""
    status, output, flaky = run(tmp_path, a_flaky=FLAKY, b_ending=ends, c_failing=FAILS)
    assert status != 0
    assert flaky == ""
    assert "repeating" not in output


def test_run_that_fails_after_its_tests_fails(tmp_path: Path) -> None:
    status, output, _ = run(tmp_path, late="import atexit\ndef test_passes(): atexit.register(os._exit, 1)")
    assert "1 passed" in output
    assert status != 0

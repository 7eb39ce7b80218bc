"""The scripts of `make install`, with stand-ins of the programs that they call."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "scripts"


def program(folder: Path, name: str, body: str) -> Path:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


def run(*command: object, path: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    first = [] if path is None else [str(path)]
    variables = {**os.environ, **environment, "PATH": ":".join([*first, os.environ["PATH"]])}
    return subprocess.run(list(map(str, command)), env=variables, capture_output=True, text=True, check=False)


# ── the environment ──────────────────────────────────────────────────────────────────────────────────────


def test_half_made_environment_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "my environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    made = run(SCRIPTS / "make_environment", sys.executable, folder)
    assert made.returncode == 0, made.stderr
    assert "has no pip: it was made without the package python3-venv" in made.stdout
    assert (folder / "bin" / "pip").exists()


def test_missing_venv_package_is_named_before_anything_is_deleted(tmp_path: Path) -> None:
    folder = tmp_path / ".venv"
    (folder / "bin").mkdir(parents=True)
    without = program(
        tmp_path, "python", f'case "$2" in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"'
    )
    refused = run(SCRIPTS / "make_environment", without, folder)
    assert refused.returncode == 1
    assert "apt-get install python3-venv" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert folder.exists()


def test_unsupported_python_is_refused(tmp_path: Path) -> None:
    refused = run(SCRIPTS / "make_environment", program(tmp_path, "python", "exit 1"), tmp_path / ".venv")
    assert refused.returncode == 1
    assert "darkroom needs Python 3.11 to 3.14" in refused.stderr


def test_makefile_makes_an_environment_without_pip_again(tmp_path: Path) -> None:
    shutil.copytree(SCRIPTS, tmp_path / "scripts")
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    made = run("make", "--directory", tmp_path, ".venv/bin/pip", f"PYTHON={sys.executable}")
    assert made.returncode == 0, made.stderr
    assert "It is made again" in made.stdout
    assert (tmp_path / ".venv" / "bin" / "pip").exists()


# ── torch ────────────────────────────────────────────────────────────────────────────────────────────────

NOTHING_INSTALLED = '[ "$1" = show ] && exit 1'


@pytest.mark.parametrize(
    ("has_gpu", "is_reachable", "said", "installs"),
    [
        (True, True, "with CUDA", ["install --quiet --no-deps torch==2.0"]),
        (False, True, "CPU build", ["index"]),
        (False, False, "is unreachable", ["index", "install --quiet --no-deps torch==2.0"]),
    ],
)
def test_torch_has_cuda_only_with_a_gpu(
    tmp_path: Path, has_gpu: bool, is_reachable: bool, said: str, installs: list[str]
) -> None:
    if Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has an NVIDIA GPU")
    program(tmp_path, "nvidia-smi", f"exit {0 if has_gpu else 127}")
    log, constraints = tmp_path / "log", tmp_path / "constraints.txt"
    constraints.write_text("numpy==1\ntorch==2.0\n")
    fails = "" if is_reachable else 'case "$*" in *--index-url*) exit 1;; esac'
    pip = program(tmp_path, "pip", f'{NOTHING_INSTALLED}\necho "$*" >>{log}\n{fails}')
    done = run(
        SCRIPTS / "install_torch", pip, constraints, path=tmp_path, TORCH_INDEX="https://cpu.example/whl"
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout
    calls = log.read_text().splitlines()
    assert [
        "index" if "--index-url https://cpu.example/whl torch==2.0" in each else each for each in calls
    ] == installs


def test_installed_torch_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "log"
    pip = program(tmp_path, "pip", f'[ "$1" = show ] || echo "$*" >>{log}')
    done = run(SCRIPTS / "install_torch", pip, ROOT / "constraints.txt")
    assert (done.returncode, done.stdout, log.exists()) == (0, "", False)


# ── the home folder ──────────────────────────────────────────────────────────────────────────────────────


def test_npm_gets_a_cache_where_the_home_folder_is_missing(tmp_path: Path) -> None:
    shown = ["make", "--silent", "--eval", 'shown:\n\t@echo "$$npm_config_cache"', "shown"]
    for home, expected in ((tmp_path, ""), (tmp_path / "none", str(ROOT / ".venv" / ".npm"))):
        ran = subprocess.run(
            shown, cwd=ROOT, env={**os.environ, "HOME": str(home)}, capture_output=True, text=True, check=True
        )
        assert ran.stdout.strip() == expected

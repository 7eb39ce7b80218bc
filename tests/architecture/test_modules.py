"""Rules for packages that no linter checks."""

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("clients", "common", "frontend_api", "gpu_subscriber", "local_stack")


def python_files() -> list[Path]:
    return [
        path
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if "node_modules" not in path.parts
    ]


def test_no_module_has_more_than_five_hundred_lines() -> None:
    long = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in python_files()}
    assert not {name: lines for name, lines in long.items() if lines > 500}


def test_every_module_has_a_docstring() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in python_files()
        if path.read_text().strip() and ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert not silent


def test_no_module_has_a_name_without_meaning() -> None:
    meaningless = {
        "utils",
        "util",
        "helpers",
        "helper",
        "manager",
        "service",
        "handler",
        "base",
        "data",
        "info",
        "misc",
    }
    assert not [str(path.relative_to(ROOT)) for path in python_files() if path.stem in meaningless]


def test_workers_parent_process_never_imports_torch() -> None:
    probe = (
        "import sys, gpu_subscriber.__main__\n"
        "heavy = {'torch', 'diffusers', 'transformers'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)"
    )
    ran = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr

"""Pack the benchmark for a machine that has Python and torch, and no network.

The packages are those that this environment has, at the same versions.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import distribution, version
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOTS = (
    "accelerate",
    "cachetools",
    "diffusers",
    "nvidia-ml-py",
    "pydantic",
    "safetensors",
    "structlog",
    "tenacity",
    "transformers",
)
"""What the engine imports, besides torch; their own requirements follow."""
OPTIONAL = ("torchao",)
"""Packed if this environment has it: for FP8."""
LEFT_OUT = ("torch", "hf-xet")
"""Torch is on the machine. The other one only downloads."""
_GLIBC = ("2_34", "2_31", "2_28", "2_27", "2_24", "2_17", "2_12", "2_5")
PLATFORMS = (*(f"manylinux_{each}_x86_64" for each in _GLIBC), "manylinux2014_x86_64", "manylinux1_x86_64")
"""pip matches each of them exactly."""
SOURCES = ("benchmarks", "common", "gpu_subscriber")
_IGNORED = shutil.ignore_patterns("__pycache__", "weights", "k8s", "training_data")
RUN = """\
#!/bin/sh
# Run the GPU benchmark from this folder: sh run.sh [options]. `sh run.sh --help` lists them.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
python3 -m pip install --quiet --no-index --no-deps --no-compile --no-cache-dir --target "$packages" \\
  "$here"/wheels/*.whl
PYTHONPATH="$packages:$here/source" python3 -m benchmarks gpu "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """The result of packing."""

    megabytes: float


def pack(folder: Path, *, python: str, leave_out: Iterable[str] = ()) -> Packed:
    """Write run.sh, the source and the wheels into `folder`, which must not exist. Downloads wheels.

    `leave_out` names packages that the machine has.
    """
    folder.mkdir(parents=True)
    root = Path(__file__).parents[2]
    for name in SOURCES:
        shutil.copytree(root / name, folder / "source" / name, ignore=_IGNORED)
    (folder / "run.sh").write_text(RUN)
    names = needed_packages(python=python).difference(map(canonicalize_name, leave_out))
    pins = [f"{name}=={version(name)}" for name in sorted(names)]
    platforms = [f"--platform={platform}" for platform in PLATFORMS]
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:",
         f"--python-version={python}", "--implementation=cp", *platforms, "--dest", str(folder / "wheels"), *pins],
        check=True,
    )  # fmt: skip
    files = [file for file in folder.rglob("*") if file.is_file()]
    return Packed(megabytes=sum(file.stat().st_size for file in files) / 1e6)


def needed_packages(*, python: str) -> set[str]:
    """Return the names of all packages that the benchmark needs on x86-64 Linux with this Python."""
    target = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "extra": "",
    }
    found: set[str] = set()
    waiting = [*ROOTS, *(name for name in OPTIONAL if find_spec(name))]
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in found or name in LEFT_OUT:
            continue
        found.add(name)
        for line in distribution(name).requires or ():
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(target):
                waiting.append(requirement.name)
    return found

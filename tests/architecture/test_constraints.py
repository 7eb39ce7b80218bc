"""Every package that the project installs, dependencies included, is pinned in constraints.txt."""

import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def installed_for(requirement: Requirement, known: set[tuple[str, str]]) -> None:
    """Add this requirement and its dependencies to `known`, as pairs of name and extra."""
    for extra in ("", *requirement.extras):
        wanted = (canonicalize_name(requirement.name), extra)
        if wanted in known:
            continue
        try:
            brings = distribution(requirement.name).requires or []
        except PackageNotFoundError:
            continue  # not on this platform, or an extra that was not requested
        known.add(wanted)
        for line in brings:
            needed = Requirement(line)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                installed_for(needed, known)


def test_every_installed_package_is_pinned() -> None:
    known: set[tuple[str, str]] = set()
    for folder in (ROOT, ROOT / "clients" / "python"):
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        for group in (project["dependencies"], *project["optional-dependencies"].values()):
            for line in group:
                if (requirement := Requirement(line)).name != project["name"]:
                    installed_for(requirement, known)
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(Requirement(line).name) for line in lines if line and line[0] != "#"}
    missing = {name for name, _ in known} - pinned
    assert len(known) > 100
    assert not missing, f"constraints.txt does not name {sorted(missing)}"

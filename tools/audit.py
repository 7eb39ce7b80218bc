"""Compare the pinned packages with the advisories of OSV: `python -m tools.audit`; `make audit`.

One request names every package of constraints.txt and of package-lock.json. Advisories
make the exit status 1, except with `--report`, because they appear without a change of the code.
Without a connection the tool reports that and succeeds.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
ADVISORIES = "https://api.osv.dev"
_TIMEOUT_SECONDS = 20.0
_MAX_QUERIES = 1_000
"""OSV's limit per request."""
_PIN = re.compile(r"([A-Za-z0-9._-]+)==([^\s;#+]+)")


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """A pinned package; the ecosystem's name is OSV's."""

    ecosystem: str
    name: str
    version: str


def pinned_packages(root: Path) -> tuple[Package, ...]:
    """Return every pinned package of Python and of the page, once each."""
    lines = (root / "constraints.txt").read_text().splitlines()
    python = [Package("PyPI", *found.groups()) for line in lines if (found := _PIN.match(line))]
    lock = json.loads((root / "package-lock.json").read_text())
    page = [
        Package("npm", path.rpartition("node_modules/")[2], entry["version"])
        for path, entry in lock["packages"].items()
        if "node_modules/" in path and "version" in entry
    ]
    return tuple(sorted({*python, *page}))


def advisories(client: httpx.Client, packages: Sequence[Package]) -> Iterator[tuple[Package, str]]:
    """Yield each advisory of each package, by its id. Raises httpx.HTTPError."""
    for start in range(0, len(packages), _MAX_QUERIES):
        asked = packages[start : start + _MAX_QUERIES]
        queries = [
            {"package": {"ecosystem": each.ecosystem, "name": each.name}, "version": each.version}
            for each in asked
        ]
        response = client.post("/v1/querybatch", json={"queries": queries}).raise_for_status()
        results: list[dict[str, Any]] = response.json()["results"]
        for package, result in zip(asked, results, strict=True):
            for found in result.get("vulns", ()):
                yield package, found["id"]


def main(arguments: Sequence[str], *, address: str = ADVISORIES, root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.audit", description=__doc__)
    parser.add_argument("--report", action="store_true", help="succeed also if there are advisories")
    only_report = parser.parse_args(arguments).report
    packages = pinned_packages(root)
    try:
        with httpx.Client(base_url=address, timeout=_TIMEOUT_SECONDS) as client:
            found = list(advisories(client, packages))
    except (httpx.HTTPError, ValueError, KeyError) as error:
        print(f"advisories not compared: {address} did not respond as expected ({type(error).__name__})")
        return 0
    for package, advisory in found:
        print(f"{package.name} {package.version}: {advisory}, see {address}/v1/vulns/{advisory}")
    print(f"{len(packages)} packages, {len(found)} advisories")
    return 1 if found and not only_report else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

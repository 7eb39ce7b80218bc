"""The audit of pinned packages, against a server in OSV's form."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from local_stack.loopback import LOOPBACK
from tools.audit import ROOT, Package, main, pinned_packages


@contextmanager
def advisories_at(vulnerable: set[str], *, status: int = 200) -> Iterator[str]:
    """Serve one advisory for each of these packages."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
            results: list[dict[str, Any]] = [
                {"vulns": [{"id": "GHSA-1"}]} if query["package"]["name"] in vulnerable else {}
                for query in asked
            ]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"results": results}).encode())

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with HTTPServer((LOOPBACK, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_packages_of_both_languages_are_pinned() -> None:
    packages = pinned_packages(ROOT)
    assert {"PyPI", "npm"} == {package.ecosystem for package in packages}
    assert {"flask", "pydantic", "vite"} <= {package.name.lower() for package in packages}
    assert all(isinstance(package, Package) and package.version[0].isdigit() for package in packages)


@pytest.mark.parametrize(("options", "code"), [([], 1), (["--report"], 0)])
def test_advisory_is_named_and_fails_unless_only_reported(
    capsys: pytest.CaptureFixture[str], options: list[str], code: int
) -> None:
    with advisories_at({"pydantic"}) as address:
        assert main(options, address=address) == code
    output = capsys.readouterr().out
    assert "pydantic " in output
    assert "GHSA-1" in output
    assert "1 advisories" in output


def test_audit_succeeds_without_advisories(capsys: pytest.CaptureFixture[str]) -> None:
    with advisories_at(set()) as address:
        assert main([], address=address) == 0
    assert "0 advisories" in capsys.readouterr().out


@pytest.mark.parametrize("status", [500, None])
def test_audit_reports_that_it_was_not_possible(
    capsys: pytest.CaptureFixture[str], status: int | None
) -> None:
    with advisories_at({"pydantic"}, status=status or 200) as address:
        asked = address if status else "http://localhost:1"
        assert main([], address=asked) == 0
    assert f"advisories not compared: {asked}" in capsys.readouterr().out

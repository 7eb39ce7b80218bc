"""The smoke test of a release before it gets traffic, over HTTP against the application on fakes."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from werkzeug.serving import make_server

from tests.infrastructure.dockerfiles import ROOT
from tests.unit.frontend_api.conftest import Api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    (tmp_path / "index.html").write_text('<!doctype html><script type="module" src="/main.js"></script>')
    api = Api(folder=tmp_path)
    yield api
    api.subscriptions.shut_down()


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, api.app, threaded=True)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def smoke_test(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "smoke_test", *arguments],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_smoke_test_passes_for_a_healthy_api(url: str) -> None:
    done = smoke_test("--open", url)
    assert (done.returncode, done.stderr) == (0, "")


def test_smoke_test_fails_when_strangers_are_admitted(url: str) -> None:
    done = smoke_test(url)
    assert done.returncode == 1
    assert done.stderr.startswith("/v1/models 200 instead of 401")


def test_smoke_test_fails_without_the_page(api: Api, url: str) -> None:
    (api.folder / "index.html").unlink()
    done = smoke_test("--open", url)
    assert done.returncode == 1
    assert done.stderr.startswith("/ 404 instead of 200")


def test_smoke_test_fails_without_an_api() -> None:
    done = smoke_test("http://127.0.0.1:1")
    assert done.returncode == 1
    assert "/ 0 instead of 200" in done.stderr

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


def test_an_api_that_is_well_passes(url: str) -> None:
    done = smoke_test("--open", url)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_api_that_lets_strangers_in_does_not_pass(url: str) -> None:
    done = smoke_test(url)
    assert done.returncode == 1
    assert done.stderr.startswith("/v1/models 200 instead of 401")


def test_an_api_without_its_page_does_not_pass(api: Api, url: str) -> None:
    (api.folder / "index.html").unlink()
    done = smoke_test("--open", url)
    assert done.returncode == 1
    assert done.stderr.startswith("/ 404 instead of 200")


def test_an_api_that_is_not_there_does_not_pass() -> None:
    done = smoke_test("http://127.0.0.1:1")
    assert done.returncode == 1
    assert "/ 0 instead of 200" in done.stderr

"""The `darkroom` command, against the real application over fakes and real HTTP."""

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from structlog.testing import capture_logs
from werkzeug.serving import make_server

from darkroom.__main__ import main
from frontend_api.identity.emulator_tokens import unsigned_token
from tests.unit.frontend_api.conftest import PROJECT, Api

OPERATOR = unsigned_token("olga", project_id=PROJECT)


def served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))  # polling interval for the shutdown
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def api(tmp_path: Path) -> Api:
    return Api(folder=tmp_path)


@pytest.fixture
def url(api: Api) -> Iterator[str]:
    with capture_logs():  # they share the standard output
        yield from served(api.app)


class Terminal:
    """Runs commands and captures their output."""

    def __init__(self, url: str, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self._capsys = capsys
        self._patch = patch
        patch.setenv("DARKROOM_URL", url)
        patch.setenv("DARKROOM_TOKEN", OPERATOR)
        patch.setenv("COLUMNS", "200")

    def __call__(self, *words: str) -> tuple[int, str, str]:
        """Return exit code, standard output, standard error."""
        self._patch.setattr(sys, "argv", ["darkroom", *words])
        code: object = 0
        try:
            main()
        except SystemExit as error:
            code = error.code
        captured = self._capsys.readouterr()
        assert isinstance(code, int)
        return code, captured.out, captured.err


@pytest.fixture
def darkroom(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(url, capsys, monkeypatch)

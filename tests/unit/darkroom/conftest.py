"""The `darkroom` command, against the real application over fakes and real HTTP."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from structlog.testing import capture_logs
from werkzeug.serving import WSGIRequestHandler, make_server

from frontend_api.identity.emulator_tokens import unsigned_token
from terminal import Terminal
from tests.unit.frontend_api.conftest import PROJECT, Api

OPERATOR = unsigned_token("olga", project_id=PROJECT)


class _ClosingHandler(WSGIRequestHandler):
    """Sends `Connection: close` alone: clients that read an application's `Connection` reuse the connection."""

    def send_header(self, keyword: str, value: str) -> None:
        if keyword.lower() != "connection" or value == "close":
            super().send_header(keyword, value)


def served(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_ClosingHandler)
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


@pytest.fixture
def darkroom(url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(capsys, monkeypatch, DARKROOM_URL=url, DARKROOM_TOKEN=OPERATOR)

"""The `darkroom` command with a server that knows one task."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from darkroom.cli.exit_codes import ExitCode
from scripted import task_json
from terminal import Terminal

COMMANDS = (
    ["generate"], ["submit"], ["watch"], ["estimate"], ["list"], ["show"], ["cancel"], ["retry"], ["delete"],
    ["download"], ["verify"], ["models"], ["queue"], ["usage"],
    *(["keys", name] for name in ("list", "create", "revoke")),
    *(["dead-letters", name] for name in ("list", "show", "replay", "purge")),
)  # fmt: skip


class Api(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(task_json(parameters={**task_json()["parameters"], **body}))

    def do_GET(self) -> None:
        is_list = self.path.startswith("/v1/tasks?")
        self._send({"tasks": [task_json()], "next_page_token": None} if is_list else task_json("completed"))

    def log_message(self, *_: object) -> None:
        return

    def _send(self, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def darkroom(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Terminal]:
    with HTTPServer(("127.0.0.1", 0), Api) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Terminal(capsys, monkeypatch, DARKROOM_URL=f"http://127.0.0.1:{server.server_port}")
        server.shutdown()


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(darkroom: Terminal, command: list[str]) -> None:
    code, out, _ = darkroom(*command, "--help")
    assert (code, out.count("Usage:")) == (0, 1)


def test_help_lists_the_exit_codes(darkroom: Terminal) -> None:
    text = " ".join(darkroom("--help")[1].split())
    assert all(f"{code.value}: {code.meaning}" in text for code in ExitCode)


def test_submit_sends_its_options_and_prints_the_id(darkroom: Terminal) -> None:
    task = json.loads(darkroom("submit", "a circle", "--steps", "4", "--label", "team=a", "--json")[1])
    assert (task["parameters"]["steps"], task["parameters"]["labels"]) == (4, {"team": "a"})
    assert darkroom("submit", "a circle") == (0, "task-1\n", "")


def test_list_and_show_print_the_status(darkroom: Terminal) -> None:
    assert "queued" in darkroom("list", "--status", "queued")[1]
    assert "completed" in darkroom("show", "task-1")[1]


def test_watch_ends_with_the_terminal_state(darkroom: Terminal) -> None:
    code, out, _ = darkroom("watch", "task-1", "--json")
    assert (code, json.loads(out)["status"]) == (0, "completed")


def test_command_reports_an_unexpected_response(darkroom: Terminal) -> None:
    code, _, err = darkroom("queue")
    assert code == ExitCode.UNAVAILABLE
    assert "unexpected response with status 200: queued: Field required" in err


def test_command_suggests_the_url_option_when_unreachable(darkroom: Terminal, closed_port: int) -> None:
    address = f"http://127.0.0.1:{closed_port}"
    code, out, err = darkroom("list", "--url", address)
    assert (code, out) == (ExitCode.UNAVAILABLE, "")
    assert err.startswith(f"darkroom: {address} does not respond: ")
    assert "--url or DARKROOM_URL" in err

"""The `darkroom` command with a server that knows one task."""

import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import httpx
import pytest

from darkroom.cli import options
from darkroom.cli.exit_codes import ExitCode
from darkroom.cli.options import submission_fields
from darkroom.retrying import RetryPolicy
from local_server import serving
from scripted import problem, task_json
from terminal import Terminal
from test_inputs import ID as PICTURE_ID
from test_inputs import PICTURE, input_json

COMMANDS = (
    ["generate"], ["submit"], ["watch"], ["estimate"], ["list"], ["show"], ["cancel"], ["retry"], ["label"],
    ["delete"],
    ["download"], ["upload"], ["verify"], ["mcp"], ["doctor"], ["models"], ["queue"], ["usage"],
    *(["keys", name] for name in ("list", "create", "revoke")),
    *(["webhooks", name] for name in ("secrets", "rotate", "deliveries", "replay")),
    *(["dead-letters", name] for name in ("list", "show", "replay", "purge")),
)  # fmt: skip


def respond(path: str, body: bytes) -> object:
    if body:
        return task_json(parameters={**task_json()["parameters"], **json.loads(body)})
    is_list = path.startswith("/v1/tasks?")
    return {"tasks": [task_json()], "next_page_token": None} if is_list else task_json("completed")


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with serving(respond) as server_port:
        yield server_port


@pytest.fixture
def darkroom(port: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Terminal:
    return Terminal(capsys, monkeypatch, DARKROOM_URL=f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(darkroom: Terminal, command: list[str]) -> None:
    code, out, _ = darkroom(*command, "--help")
    assert (code, out.count("Usage:")) == (0, 1)


def test_help_shows_whole_names_in_80_columns(darkroom: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = darkroom("generate", "--help")[1]
    assert "…" not in text
    assert "--cancel-on-interrupt" in text
    assert "http://localhost:8080" in text


@pytest.mark.parametrize("group", [[], ["keys"], ["shares"], ["webhooks"], ["dead-letters"]], ids=" ".join)
def test_help_shows_whole_summaries_in_80_columns(
    darkroom: Terminal, monkeypatch: pytest.MonkeyPatch, group: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    summaries = darkroom(*group, "--help")[1].partition("Commands:")[2]
    assert len(summaries.splitlines()) > 3
    assert "..." not in summaries


def test_address_may_precede_the_command(
    darkroom: Terminal, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DARKROOM_URL")
    address = f"http://127.0.0.1:{port}"
    assert darkroom("--url", address, "submit", "a circle") == (0, "task-1\n", "")
    assert darkroom("submit", "a circle", "--url", address) == (0, "task-1\n", "")


def test_version_is_that_of_the_package(darkroom: Terminal) -> None:
    assert darkroom("--version") == (0, f"darkroom {metadata.version('darkroom-client')}\n", "")


@pytest.mark.parametrize("name", [".", "missing.png"])
def test_unreadable_file_is_reported_in_a_sentence(darkroom: Terminal, name: str) -> None:
    code, out, err = darkroom("verify", name)
    assert (code, out) == (ExitCode.REFUSED, "")
    assert err in (f"darkroom: {name}: is a directory\n", f"darkroom: {name}: no such file or directory\n")


def test_help_lists_the_exit_codes(darkroom: Terminal) -> None:
    text = " ".join(darkroom("--help")[1].split())
    assert all(f"{code.value}: {code.meaning}" in text for code in ExitCode)


def test_submit_sends_its_options_and_prints_the_id(darkroom: Terminal) -> None:
    task = json.loads(darkroom("submit", "a circle", "--steps", "4", "--label", "team=a", "--json")[1])
    assert (task["parameters"]["steps"], task["parameters"]["labels"]) == (4, {"team": "a"})
    assert darkroom("submit", "a circle") == (0, "task-1\n", "")


def test_submit_sends_each_lora(darkroom: Terminal) -> None:
    options = ("--lora", "pixel-art:0.8", "--lora", "detail:-1", "--json")
    task = json.loads(darkroom("submit", "a circle", *options)[1])
    sent = [{"name": "pixel-art", "scale": 0.8}, {"name": "detail", "scale": -1.0}]
    assert task["parameters"]["loras"] == sent


def test_lora_without_a_scale_is_sent_without_one() -> None:
    assert submission_fields(lora=["detail"])["loras"] == [{"name": "detail"}]


@pytest.mark.parametrize("lora", ["pixel-art:strong", "pixel-art:nan", ":0.8", "pixel-art:"])
def test_invalid_scale_of_a_lora_is_refused(darkroom: Terminal, lora: str) -> None:
    code, _, err = darkroom("submit", "a circle", "--lora", lora)
    assert code == ExitCode.USAGE
    assert "must be NAME or NAME:SCALE" in " ".join(err.split())


def test_refused_header_is_not_shown(darkroom: Terminal) -> None:
    code, _, err = darkroom("submit", "a circle", "--callback-header", "Authorization: Bearer hush")
    assert code == ExitCode.USAGE
    assert "--callback-header: must be NAME=VALUE" in " ".join(err.split())
    assert "hush" not in err


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


@pytest.mark.parametrize(
    "words",
    [("keys", "revoke", "k"), ("shares", "revoke", "t", "s"), ("dead-letters", "purge", "d", "--yes")],
)
def test_revocation_that_is_not_confirmed_is_an_error(darkroom: Terminal, words: tuple[str, ...]) -> None:
    code, out, err = darkroom(*words)
    assert (code, out) == (ExitCode.UNAVAILABLE, "")
    assert "unexpected response with status 200" in err


@pytest.mark.parametrize("words", [("submit", "a circle"), ("submit", "--batch", "tasks.jsonl")])
def test_command_prints_the_key_when_a_refusal_follows_a_lost_response(
    darkroom: Terminal, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "tasks.jsonl").write_text('{"prompt": "a circle"}\n')
    outcomes: Iterator[httpx.Response | httpx.ReadTimeout] = iter(
        [httpx.ReadTimeout("no response"), problem("unauthenticated", 401)]
    )

    def respond_or_raise(_transport: object, _request: httpx.Request) -> httpx.Response:
        if isinstance(outcome := next(outcomes), Exception):
            raise outcome
        return outcome

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", respond_or_raise)
    monkeypatch.setattr(options, "_RETRIES", RetryPolicy(max_retries=1, first_pause_seconds=0.0))
    code, _, err = darkroom(*words, "--idempotency-key", "night")
    assert code == ExitCode.NOT_ALLOWED
    assert "unknown" in err
    assert "--idempotency-key night" in err


def test_command_suggests_the_url_option_when_unreachable(darkroom: Terminal, closed_port: int) -> None:
    address = f"http://127.0.0.1:{closed_port}"
    code, out, err = darkroom("list", "--url", address)
    assert (code, out) == (ExitCode.UNAVAILABLE, "")
    assert err.startswith(f"darkroom: {address} does not respond: ")
    assert "--url or DARKROOM_URL" in err


def test_picture_options_upload_files(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    received: list[tuple[str, bytes]] = []

    def uploading(path: str, body: bytes) -> object:
        received.append((path, body))
        return input_json(body) if path == "/v1/inputs" else task_json()

    (tmp_path / "photo.jpg").write_bytes(PICTURE)
    (tmp_path / "mask.png").write_bytes(b"\x89PNG")
    monkeypatch.chdir(tmp_path)
    with serving(uploading) as port:
        darkroom = Terminal(capsys, monkeypatch, DARKROOM_URL=f"http://127.0.0.1:{port}")
        assert darkroom("upload", "photo.jpg") == (0, f"{PICTURE_ID}\n", "")
        code, _, _ = darkroom(
            "submit", "a circle", "--image", "photo.jpg", "--mask", "mask.png", "--strength", "0.6"
        )
        assert code == 0
        code, _, err = darkroom("submit", "a circle", "--image", "none.jpg")
        assert (code, err) == (ExitCode.REFUSED, "darkroom: none.jpg: no such file or directory\n")
    assert [body for path, body in received if path == "/v1/inputs"] == [PICTURE, PICTURE, b"\x89PNG"]
    (submission,) = (json.loads(body) for path, body in received if path == "/v1/tasks")
    assert (submission["image"], submission["strength"]) == (PICTURE_ID, 0.6)

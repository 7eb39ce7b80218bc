"""darkroom queue, usage and keys."""

import json
from contextlib import contextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from darkroom.cli.exit_codes import ExitCode
from frontend_api.identity.emulator_tokens import unsigned_token
from frontend_api.quotas.limits import QuotaLimits
from terminal import Terminal
from tests.unit.darkroom.conftest import served
from tests.unit.frontend_api.conftest import PROJECT, Api


def test_queue_shows_one_row_per_model(api: Api, darkroom: Terminal) -> None:
    api.stored_task()
    code, out, err = darkroom("queue")
    head, *lines, unserved, letters = out.splitlines()
    assert unserved == "No live worker serves: demo"
    assert (code, err, head.split()[:2], letters) == (0, "", ["MODEL", "QUEUED"], "Dead letters: 0")
    assert [line.split()[:2] for line in lines] == [["demo", "1"], ["all", "1"]]
    assert json.loads(darkroom("queue", "--json")[1])["queued"] == 1


def test_usage_shows_one_row_per_day(darkroom: Terminal) -> None:
    code, out, _ = darkroom("usage", "--first", "2026-01-01", "--last", "2026-01-02")
    assert (code, [line.split()[:2] for line in out.splitlines()[1:]]) == (
        0,
        [["2026-01-01", "0"], ["2026-01-02", "0"], ["total", "0"]],
    )
    assert json.loads(darkroom("usage", "--json")[1])["total"]["tasks"] == 0
    code, _, err = darkroom("usage", "--first", "2026-01-02", "--last", "2026-01-01")
    assert (code, "  from: must be" in err) == (ExitCode.USAGE, True)
    assert darkroom("usage", "--first", "yesterday")[0] == ExitCode.USAGE


def test_usage_shows_the_quotas(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    api = Api(folder=tmp_path, quota_limits=QuotaLimits(active_tasks=5, daily_gpu_seconds=100))
    api.clock.advance(3_600)
    api.stored_task()
    with capture_logs(), contextmanager(served)(api.app) as url:
        terminal = Terminal(
            capsys, monkeypatch, DARKROOM_URL=url, DARKROOM_TOKEN=unsigned_token("local", project_id=PROJECT)
        )
        _, out, _ = terminal("usage")
    assert [line.split() for line in out.split("\n\n")[1].splitlines()] == [
        ["QUOTA", "LIMIT", "USED", "REMAINING", "RESETS", "IN"],
        ["active-tasks", "5", "1", "4", "–"],
        ["daily-gpu-seconds", "100", "0", "100", f"{11 * 3_600}", "s"],
    ]


def test_keys_are_created_used_listed_and_revoked(darkroom: Terminal) -> None:
    assert darkroom("keys", "list") == (0, "No API keys.\n", "")
    code, out, err = darkroom("keys", "create", "nightly batch", "--scope", "read", "--scope", "submit")
    key = out.strip()
    assert (code, err) == (0, "Store the key now: it is not shown again.\n")
    assert darkroom("list", "--api-key", key) == (0, "No tasks.\n", "")
    assert darkroom("keys", "list", "--api-key", key)[0] == ExitCode.NOT_ALLOWED
    (listed,) = json.loads(darkroom("keys", "list", "--json")[1])
    row = darkroom("keys", "list")[1].splitlines()[1]
    assert (row.split()[0], row.endswith("  read,submit  nightly batch"), key in row) == (
        listed["id"],
        True,
        False,
    )
    assert darkroom("keys", "revoke", listed["id"]) == (0, f"Key {listed['id']} was revoked.\n", "")
    assert darkroom("list", "--api-key", key)[0] == ExitCode.NOT_ALLOWED
    code, out, _ = darkroom("keys", "revoke", listed["id"], "--json")
    assert (code, json.loads(out)) == (ExitCode.NOT_FOUND, {"revoked": []})


def test_keys_create_requires_valid_scopes(darkroom: Terminal) -> None:
    assert darkroom("keys", "create", "x")[0] == ExitCode.USAGE
    code, _, err = darkroom("keys", "create", "x", "--scope", "everything")
    assert (code, "/scopes/0" in err) == (ExitCode.USAGE, True)

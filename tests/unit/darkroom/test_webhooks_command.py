"""darkroom webhooks, against the real application."""

import json
from typing import Any

from darkroom.cli.exit_codes import ExitCode
from terminal import Terminal
from tests.unit.frontend_api.conftest import Api


def test_secrets_are_printed_and_rotated(darkroom: Terminal) -> None:
    code, out, _ = darkroom("webhooks", "secrets")
    (first,) = out.split()
    assert (code, first[:6]) == (0, "whsec_")
    rotated = json.loads(darkroom("webhooks", "rotate", "--yes", "--json")[1])
    assert [secret["secret"] == first for secret in rotated] == [False, True]
    lines = darkroom("webhooks", "secrets")[1].splitlines()
    assert "valid until" in lines[1]


def test_deliveries_of_a_task_without_webhooks(api: Api, darkroom: Terminal) -> None:
    api.completed_task(user_id="olga")
    assert darkroom("webhooks", "deliveries", "task-1") == (0, "No deliveries.\n", "")
    code, out, _ = darkroom("webhooks", "deliveries", "task-1", "--json")
    body: Any = json.loads(out)
    assert (code, body["deliveries"]) == (0, [])
    assert darkroom("webhooks", "replay", "task-1", "1")[0] == ExitCode.NOT_FOUND

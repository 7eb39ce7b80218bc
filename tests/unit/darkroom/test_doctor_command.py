"""darkroom doctor, against the real application."""

import json
from datetime import timedelta

import pytest

from darkroom.cli.exit_codes import ExitCode
from local_stack.loopback import free_port
from terminal import Terminal
from tests.factories import worker_report
from tests.unit.frontend_api.conftest import Api


def test_doctor_passes_on_a_working_server(api: Api, darkroom: Terminal) -> None:
    api.reports.publish(worker_report(alive_until=api.clock.now() + timedelta(days=1)))
    api.completed_task(user_id="olga")
    code, out, _ = darkroom("doctor", "--json")
    assert (code, [check["outcome"] for check in json.loads(out)]) == (0, ["ok"] * 6)
    assert darkroom("doctor")[1].splitlines()[3] == "ok       credentials  The server accepts the token."


def test_doctor_reports_refused_credentials(darkroom: Terminal) -> None:
    code, out, _ = darkroom("doctor", "--api-key", "invalid")
    assert code == ExitCode.NOT_ALLOWED
    assert "Set DARKROOM_API_KEY or DARKROOM_TOKEN to valid credentials" in out


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_doctor_reports_an_unreachable_server(darkroom: Terminal, words: list[str]) -> None:
    code, out, err = darkroom("doctor", "--url", f"http://127.0.0.1:{free_port()}", *words)
    assert (code, err, "does not respond" in out) == (ExitCode.UNAVAILABLE, "", True)

"""Checks of the connection to the server."""

from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from httpx_sse import ServerSentEvent

from darkroom.resources.diagnosis import Check, diagnose
from scripted import ScriptedApi, problem, reply, task_json

READY = {"dependencies": [{"name": "firestore", "reachable": True}, {"name": "pubsub", "reachable": True}]}
PAGE = {"tasks": [task_json()], "next_page_token": None}
MODEL = {"name": "demo", "title": "Demo", "family": "stable_diffusion", "served": True}
EVENT = ServerSentEvent(event="task", data="{}")


def date(seconds_ahead: float = 0.0) -> dict[str, str]:
    moment = datetime.now(timezone.utc) + timedelta(seconds=seconds_ahead)
    return {"Date": format_datetime(moment, usegmt=True)}


def stream(**headers: str) -> httpx.Response:
    return reply(None, 200, Content_Type="text/event-stream", **headers)


def checks(api: ScriptedApi, *outcomes: Any) -> dict[str, Check]:
    return {check.name: check for check in api.run(diagnose(api.calls), *outcomes).emitted}


def healthy(**changes: Any) -> list[Any]:
    """Return the responses of a healthy server, with changes by the name of the check."""
    outcomes = {
        "server": reply(READY, 200, **date()),
        "credentials": reply(PAGE),
        "models": reply({"models": [MODEL]}),
        "streams": stream(),
        "event": EVENT,
        **changes,
    }
    return [outcome for outcome in outcomes.values() if outcome != "none"]


def test_healthy_server_passes_every_check(api: ScriptedApi) -> None:
    found = checks(api, *healthy())
    assert list(found) == ["proxy", "server", "clock", "credentials", "models", "streams"]
    assert {check.outcome for check in found.values()} == {"ok"}
    assert found["server"].detail == "https://darkroom.example is ready, and reaches firestore and pubsub."
    assert found["credentials"].detail == "The server accepts the token."


def test_unreachable_server_skips_the_other_checks(api: ScriptedApi) -> None:
    found = checks(api, httpx.ConnectError("refused"))
    assert found["server"].outcome == "failed"
    assert "--url or DARKROOM_URL" in found["server"].advice
    assert {found[name].outcome for name in ("clock", "credentials", "models", "streams")} == {"skipped"}


@pytest.mark.parametrize(
    ("seconds_ahead", "outcome", "detail"),
    [(60, "warning", "s behind the server's"), (-900, "failed", "s ahead of the server's")],
)
def test_difference_of_the_clocks_is_reported(
    api: ScriptedApi, seconds_ahead: float, outcome: str, detail: str
) -> None:
    found = checks(api, *healthy(server=reply(READY, 200, **date(seconds_ahead))))["clock"]
    assert (found.outcome, detail in found.detail) == (outcome, True), found


UNREADY = {"dependencies": [{"name": "firestore", "reachable": False}]}


@pytest.mark.parametrize(
    ("name", "changes", "outcome", "detail"),
    [
        ("server", {"server": reply(UNREADY, 503)}, "failed", "cannot reach firestore"),
        ("server", {"server": reply({"hello": "world"})}, "failed", "not as darkroom does"),
        ("server", {"server": httpx.Response(404, text="nginx")}, "failed", "responds with status 404"),
        ("clock", {"server": reply(READY)}, "skipped", "no time"),
        (
            "credentials",
            {"credentials": problem("unauthenticated", 401), "streams": "none", "event": "none"},
            "failed",
            "unauthenticated",
        ),
        (
            "streams",
            {
                "credentials": reply({"tasks": [], "next_page_token": None}),
                "streams": "none",
                "event": "none",
            },
            "skipped",
            "no task",
        ),
        (
            "models",
            {"models": reply({"models": [{**MODEL, "served": False}]})},
            "warning",
            "No live worker serves demo.",
        ),
        ("streams", {"event": httpx.ReadTimeout("nothing arrived")}, "failed", "does not respond"),
        ("streams", {"event": None}, "failed", "ended the stream without an event"),
        ("streams", {"streams": stream(Content_Encoding="gzip")}, "failed", "compressed the stream"),
        (
            "streams",
            {"streams": reply({}, 200), "event": "none"},
            "failed",
            "returned application/json instead of events",
        ),
    ],
)
def test_problem_is_named_with_advice(
    api: ScriptedApi, name: str, changes: dict[str, Any], outcome: str, detail: str
) -> None:
    check = checks(api, *healthy(**changes))[name]
    assert (check.outcome, detail in check.detail) == (outcome, True), check
    assert bool(check.advice) == (outcome != "skipped" or name == "streams")

"""darkroom shares: links that show one picture to any holder."""

import json

import httpx

from darkroom import Client
from darkroom.cli.exit_codes import ExitCode
from frontend_api.identity.emulator_tokens import unsigned_token
from terminal import Terminal
from tests.unit.frontend_api.conftest import PROJECT, Api


def test_created_link_works_until_it_is_revoked(api: Api, url: str, darkroom: Terminal) -> None:
    task = api.completed_task(user_id="olga")
    code, out, err = darkroom("shares", "create", task.id, "--hours", "2")
    assert (code, err) == (0, "The link works until 2026-01-01 14:00 UTC.\n")
    link = out.strip()
    assert link.startswith(f"{url}/s/")
    assert httpx.get(link).status_code == 200
    (listed,) = json.loads(darkroom("shares", "list", task.id, "--json")[1])
    assert darkroom("shares", "list", task.id)[1].splitlines()[1].split()[:2] == [listed["id"], "0"]
    code, out, _ = darkroom("shares", "revoke", task.id, listed["id"])
    assert (code, out) == (0, f"Link {listed['id']} was revoked.\n")
    assert httpx.get(link).status_code == 404
    assert darkroom("shares", "list", task.id)[1] == "No links.\n"


def test_refused_links_are_reported(api: Api, darkroom: Terminal) -> None:
    task = api.completed_task(user_id="olga")
    code, _, err = darkroom("shares", "create", task.id, "--hours", "100000")
    assert (code, "/expires_in_hours" in err) == (ExitCode.USAGE, True)
    code, _, err = darkroom("shares", "revoke", task.id, "0" * 32)
    assert (code, "share_not_found" in err) == (ExitCode.NOT_FOUND, True)


def test_client_returns_the_absolute_address_of_a_link(api: Api, url: str) -> None:
    task = api.completed_task(user_id="ada")
    with Client(url, token=unsigned_token("ada", project_id=PROJECT)) as client:
        created = client.share(task.id, expires_in_hours=1)
        assert (created.image_index, created.url.startswith(f"{url}/s/")) == (0, True)
        assert created.url not in repr(created)
        assert [share.id for share in client.shares(task.id)] == [created.id]
        client.revoke_share(task.id, created.id)
        assert client.shares(task.id) == ()

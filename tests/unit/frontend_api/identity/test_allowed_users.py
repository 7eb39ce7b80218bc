"""Users whom a deployment admits, and the API's response to others."""

from pathlib import Path

import pytest

from frontend_api.identity.allowed_users import AllowedUsers
from frontend_api.identity.ports import NotAllowedError, Principal
from frontend_api.settings import ApiSettings
from tests.unit.frontend_api.conftest import Api

ADA, BOB = "ada@example.com", "bob@partner.org"


def admits(allowed: AllowedUsers, email: str | None, *, user_id: str = "uid") -> bool:
    try:
        allowed.check(user_id, email)
    except NotAllowedError:
        return False
    return True


def test_no_user_is_admitted_by_default_but_operators() -> None:
    allowed = AllowedUsers.parse(ApiSettings.model_fields["allowed_users"].default, operators=["olga"])
    assert not admits(allowed, ADA)
    assert not admits(allowed, None)
    assert admits(allowed, None, user_id="olga")


def test_emails_and_domains_admit_exactly_their_users() -> None:
    allowed = AllowedUsers.parse(["Ada@Example.com", "partner.org"])
    assert admits(allowed, ADA)
    assert admits(allowed, "ADA@example.com")
    assert admits(allowed, BOB)
    for email in (
        "eve@example.com",
        "bob@sub.partner.org",
        "bob@partner.org.evil.com",
        "partner.org",
        "",
        None,
    ):
        assert not admits(allowed, email)
    assert not admits(AllowedUsers.parse(["evil.com"]), '"x@evil.com"@example.com')


def test_asterisk_admits_every_user() -> None:
    assert admits(AllowedUsers.parse(["*"]), None)


@pytest.mark.parametrize(
    "entries", [["*", ADA], ["ada"], ["@example.com"], ["https://example.com"], ["a b@c.de"]]
)
def test_invalid_entries_are_rejected(entries: list[str]) -> None:
    with pytest.raises(ValueError, match="must be"):
        AllowedUsers.parse(entries)


class SignedIn:
    """An Authenticator whose caller has an email address."""

    def principal(self, headers: object) -> Principal:
        return Principal(user_id="ada", email=ADA)


def test_api_key_is_refused_when_its_owner_is_not_admitted_anymore(tmp_path: Path) -> None:
    before = Api(folder=tmp_path, people=SignedIn(), allowed=AllowedUsers.parse([ADA]))
    created = before.client.post("/v1/keys", json={"name": "nightly", "scopes": ["read"]})
    headers = {"X-API-Key": created.get_json()["key"]}
    assert before.client.get("/v1/tasks", headers=headers).status_code == 200
    after = Api(folder=tmp_path, api_keys=before.api_keys, allowed=AllowedUsers.parse([BOB]))
    response = after.client.get("/v1/tasks", headers=headers)
    assert (response.status_code, response.get_json()["code"]) == (403, "user_not_allowed")
    assert response.get_json()["detail"].startswith(f"the account {ADA} is not admitted to this service.")
    for api in (before, after):
        api.subscriptions.shut_down()

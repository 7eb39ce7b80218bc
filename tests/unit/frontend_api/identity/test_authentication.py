"""Caller identity on the local stack: `local`, or the user in an unsigned token; other tokens fail."""

import base64
import json

import pytest

from frontend_api.identity.emulator_tokens import EmulatorAuthenticator, NoInternalCallers, unsigned_token
from frontend_api.identity.ports import NotAuthenticatedError
from tests.unit.frontend_api.conftest import PROJECT, Api


def part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


NONE = part({"alg": "none"})
GARBAGE = {
    "another scheme": "Basic eDp5",
    "no token": "Bearer",
    "blank token": "Bearer  ",
    "no token at all": "x",
    "one part": "Bearer x",
    "two parts": f"Bearer {NONE}.{part({'sub': 'ada'})}x.",
    "not base64": "Bearer !!.??.",
    "not ASCII": "Bearer é.é.",
    "not JSON": "Bearer eA.eA.",
    "not an object": f"Bearer {NONE}.{part([])}.",
    "signed": f"Bearer {part({'alg': 'RS256'})}.{part({'sub': 'ada'})}.c2ln",
    "unsigned with a signature": f"Bearer {NONE}.{part({'sub': 'ada'})}.c2ln",
    "signed without a signature": f"Bearer {part({'alg': 'HS256'})}.{part({'sub': 'ada'})}.",
    "no user": f"Bearer {NONE}.{part({})}.",
    "empty user": f"Bearer {NONE}.{part({'sub': ''})}.",
    "a number for a user": f"Bearer {NONE}.{part({'sub': 7})}.",
    "a user of 5 kB": f"Bearer {NONE}.{part({'sub': 'x' * 5_000})}.",
    "a user with a line break": f"Bearer {NONE}.{part({'sub': chr(10)})}.",
    "half a surrogate pair": f"Bearer {NONE}.{part({'sub': chr(0xD800)})}.",
    "another project": f"Bearer {NONE}.{part({'sub': 'ada', 'aud': 'demo-other'})}.",
    "deep nesting": f"Bearer {NONE}.{base64.urlsafe_b64encode(b'[' * 6_000).decode()}.",
}


@pytest.mark.parametrize("authorization", GARBAGE.values(), ids=GARBAGE)
def test_malformed_credentials_are_rejected(api: Api, authorization: str) -> None:
    latin = authorization.encode().decode("latin-1")
    answer = api.client.get("/v1/tasks", headers={"Authorization": latin})
    assert answer.status_code == 401
    assert answer.get_json()["code"] == "unauthenticated"
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_requests_without_credentials_are_the_local_user() -> None:
    assert EmulatorAuthenticator(project_id=PROJECT).principal({}).user_id == "local"


def test_token_local_is_the_local_user() -> None:
    headers = {"Authorization": "Bearer local"}
    assert EmulatorAuthenticator(project_id=PROJECT).principal(headers).user_id == "local"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_unsigned_token_identifies_its_user(scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {unsigned_token('ada', project_id=PROJECT)}"}
    assert EmulatorAuthenticator(project_id=PROJECT).principal(headers).user_id == "ada"


def test_no_internal_callers_reject_every_token() -> None:
    with pytest.raises(NotAuthenticatedError):
        NoInternalCallers().check({"Authorization": "Bearer "})

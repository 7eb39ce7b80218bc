"""terraform/firestore.rules as a browser sees them: over REST, with the emulator's unsigned tokens.

The rules are loaded into a separate project, isolated from the documents and rules of other tests.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.emulators import Emulators

pytestmark = pytest.mark.emulator

RULES = Path(__file__).parents[2] / "terraform" / "firestore.rules"
PROJECT = "demo-darkroom-rules"
EVERYONE = '{"domains": [], "emails": [], "everyone": true, "user_ids": []}'
"""The map of the rules that Terraform replaces."""
DOCUMENTS = f"v1/projects/{PROJECT}/databases/(default)/documents"
OWNER = {"Authorization": "Bearer owner"}
"""The emulator's token for server clients, which bypass the rules."""


@pytest.fixture(scope="module")
def firestore(emulators: Emulators) -> Iterator[httpx.Client]:
    """Firestore with the rules active, and one task each of alice and bob."""
    with httpx.Client(base_url=f"http://{emulators.firestore_rest_host}/", timeout=30) as client:
        files = [{"name": "firestore.rules", "content": RULES.read_text(encoding="utf-8")}]
        loaded = client.put(f"emulator/v1/projects/{PROJECT}:securityRules", json={"rules": {"files": files}})
        assert loaded.status_code == 200, loaded.text
        for path, user_id in [
            ("tasks/of-alice", "alice"),
            ("tasks/of-bob", "bob"),
            ("tasks/of-alice/deliveries/1", "alice"),
            ("api_keys/1", "alice"),
            ("dead_letters/1", "alice"),
            ("operations_history/1", "alice"),
            ("shares/1", "alice"),
            ("workers/1", "alice"),
            ("usage_of_deleted_tasks/1", "alice"),
        ]:
            written = client.patch(f"{DOCUMENTS}/{path}", json=_document(user_id), headers=OWNER)
            assert written.status_code == 200, written.text
        yield client


def _document(user_id: str) -> dict[str, Any]:
    return {
        "fields": {
            "user_id": {"stringValue": user_id},
            "created_at": {"timestampValue": "2026-11-20T20:14:00Z"},
        }
    }


def _as(user_id: str, **claims: Any) -> dict[str, str]:
    def encoded(part: Mapping[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")

    token = f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{encoded({'sub': user_id, **claims})}."
    return {"Authorization": f"Bearer {token}"}


def _listed(firestore: httpx.Client, headers: Mapping[str, str], *, user_id: str | None) -> httpx.Response:
    """Run the page's own query: the tasks of one user, newest first."""
    query: dict[str, Any] = {
        "from": [{"collectionId": "tasks"}],
        "orderBy": [{"field": {"fieldPath": "created_at"}, "direction": "DESCENDING"}],
        "limit": 51,
    }
    if user_id is not None:
        query["where"] = {
            "fieldFilter": {
                "field": {"fieldPath": "user_id"},
                "op": "EQUAL",
                "value": {"stringValue": user_id},
            }
        }
    return firestore.post(f"{DOCUMENTS}:runQuery", json={"structuredQuery": query}, headers=headers)


def test_owner_reads_a_task(firestore: httpx.Client) -> None:
    assert firestore.get(f"{DOCUMENTS}/tasks/of-alice", headers=_as("alice")).status_code == 200


@pytest.mark.parametrize(
    "headers", [_as("bob"), _as("bob", email="alice"), {}], ids=["another", "namesake", "nobody"]
)
def test_other_users_cannot_read_a_task(firestore: httpx.Client, headers: dict[str, str]) -> None:
    assert firestore.get(f"{DOCUMENTS}/tasks/of-alice", headers=headers).status_code == 403


def test_missing_task_looks_like_a_foreign_one(firestore: httpx.Client) -> None:
    assert firestore.get(f"{DOCUMENTS}/tasks/unknown", headers=_as("alice")).status_code == 403


def test_owner_lists_only_own_tasks(firestore: httpx.Client) -> None:
    answer = _listed(firestore, _as("alice"), user_id="alice")
    assert answer.status_code == 200, answer.text
    names = [row["document"]["name"].rpartition("/")[2] for row in answer.json() if "document" in row]
    assert names == ["of-alice"]


@pytest.mark.parametrize("user_id", ["bob", None], ids=["of another", "of everybody"])
def test_lists_of_other_users_are_denied(firestore: httpx.Client, user_id: str | None) -> None:
    assert _listed(firestore, _as("alice"), user_id=user_id).status_code == 403


@pytest.mark.parametrize(
    "headers", [_as("alice"), _as("alice", admin=True), {}], ids=["owner", "admin", "nobody"]
)
@pytest.mark.parametrize("verb", ["read", "list", "create", "change", "delete"])
def test_api_keys_are_denied_to_clients(firestore: httpx.Client, headers: dict[str, str], verb: str) -> None:
    of_alice = {
        "fieldFilter": {"field": {"fieldPath": "user_id"}, "op": "EQUAL", "value": {"stringValue": "alice"}}
    }
    own = {"structuredQuery": {"from": [{"collectionId": "api_keys"}], "where": of_alice}}
    document = f"{DOCUMENTS}/api_keys/1"
    answers = {
        "read": lambda: firestore.get(document, headers=headers),
        "list": lambda: firestore.post(f"{DOCUMENTS}:runQuery", json=own, headers=headers),
        "create": lambda: firestore.patch(
            f"{DOCUMENTS}/api_keys/new", json=_document("alice"), headers=headers
        ),
        "change": lambda: firestore.patch(document, json=_document("alice"), headers=headers),
        "delete": lambda: firestore.delete(document, headers=headers),
    }
    assert answers[verb]().status_code == 403


def test_list_without_sign_in_is_denied(firestore: httpx.Client) -> None:
    assert _listed(firestore, {}, user_id="alice").status_code == 403


@pytest.mark.parametrize("path", ["tasks/of-alice", "tasks/new", "elsewhere/1"])
def test_client_writes_are_denied(firestore: httpx.Client, path: str) -> None:
    answer = firestore.patch(f"{DOCUMENTS}/{path}", json=_document("alice"), headers=_as("alice"))
    assert answer.status_code == 403


def test_client_deletes_are_denied(firestore: httpx.Client) -> None:
    assert firestore.delete(f"{DOCUMENTS}/tasks/of-alice", headers=_as("alice")).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "tasks/of-alice/deliveries/1",
        "api_keys/1",
        "dead_letters/1",
        "operations_history/1",
        "shares/1",
        "workers/1",
        "usage_of_deleted_tasks/1",
    ],
)
def test_other_collections_are_denied(firestore: httpx.Client, path: str) -> None:
    assert firestore.get(f"{DOCUMENTS}/{path}", headers=_as("alice", admin=True)).status_code == 403


@pytest.fixture(scope="module")
def restricted(emulators: Emulators) -> Iterator[httpx.Client]:
    """Firestore with the rules as Terraform releases them, in a project of its own."""
    access = '{"domains": ["partner.org"], "emails": ["alice@example.com"], "everyone": false, "user_ids": ["olga"]}'
    rules = RULES.read_text(encoding="utf-8")
    assert rules.count(EVERYONE) == 1
    project = f"{PROJECT}-restricted"
    with httpx.Client(base_url=f"http://{emulators.firestore_rest_host}/", timeout=30) as client:
        files = [{"name": "firestore.rules", "content": rules.replace(EVERYONE, access)}]
        loaded = client.put(f"emulator/v1/projects/{project}:securityRules", json={"rules": {"files": files}})
        assert loaded.status_code == 200, loaded.text
        documents = f"v1/projects/{project}/databases/(default)/documents"
        for user_id in ("alice", "olga"):
            written = client.patch(f"{documents}/tasks/of-{user_id}", json=_document(user_id), headers=OWNER)
            assert written.status_code == 200, written.text
        client.base_url = f"http://{emulators.firestore_rest_host}/{documents}/"
        yield client


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param(_as("alice", email="Alice@example.com", email_verified=True), 200, id="email"),
        pytest.param(_as("alice", email="a@partner.org", email_verified=True), 200, id="domain"),
        pytest.param(_as("alice", email="alice@example.com", email_verified=False), 403, id="not verified"),
        pytest.param(_as("alice", email="alice@example.com"), 403, id="verification unknown"),
        pytest.param(_as("alice", email="eve@example.com", email_verified=True), 403, id="another email"),
        pytest.param(_as("alice", email="a@sub.partner.org", email_verified=True), 403, id="subdomain"),
        pytest.param(_as("alice", email="a@partner.org@x.de", email_verified=True), 403, id="two signs"),
        pytest.param(_as("alice"), 403, id="no email"),
    ],
)
def test_owner_reads_a_task_only_while_allowed(
    restricted: httpx.Client, headers: dict[str, str], status: int
) -> None:
    assert restricted.get("tasks/of-alice", headers=headers).status_code == status


def test_operator_without_an_email_reads_own_task(restricted: httpx.Client) -> None:
    assert restricted.get("tasks/of-olga", headers=_as("olga")).status_code == 200
    assert restricted.get("tasks/of-alice", headers=_as("olga")).status_code == 403

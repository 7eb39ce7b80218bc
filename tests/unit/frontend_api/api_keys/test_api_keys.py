"""API keys: shown once, stored as a hash, limited to their scopes, revoked within seconds."""

import re
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from frontend_api.api_keys.api_key import ApiKey, ApiKeyNotFoundError, checksum, id_of, new_key
from frontend_api.api_keys.api_keys import MAX_KEYS_PER_CALLER, ApiKeys, TooManyApiKeysError
from frontend_api.api_keys.cache import CachedApiKeys
from frontend_api.http.api_doc import operation_of
from frontend_api.identity.ports import Principal, Scope
from tests.fakes.fake_clock import FakeClock
from tests.fakes.in_memory_api_keys import InMemoryApiKeys
from tests.unit.frontend_api.conftest import API_KEYS_KNOWN_FOR, Api, signed_in_as

ADA = signed_in_as("ada")
EVERYTHING = ["admin", "read", "submit"]


def create(api: Api, headers: dict[str, str] = ADA, **changes: Any) -> Any:
    body = {"name": "nightly", "scopes": EVERYTHING, **changes}
    return api.client.post("/v1/keys", json=body, headers=headers)


def key_of(api: Api, *scopes: str, **changes: Any) -> dict[str, str]:
    """Return the headers of a program with one of ada's keys."""
    created = create(api, scopes=list(scopes), **changes)
    assert created.status_code == 201, created.get_json()
    return {"X-API-Key": created.get_json()["key"]}


def test_api_key_is_shown_once_and_stored_as_a_hash(api: Api) -> None:
    created = create(api, expires_in_days=7)
    assert created.status_code == 201
    body = created.get_json()
    assert re.fullmatch(r"drk_[0-9A-Za-z]{54}", body["key"])
    assert created.headers["Cache-Control"] == "private, no-store"
    (listed,) = api.client.get("/v1/keys", headers=ADA).get_json()["keys"]
    assert listed == {name: value for name, value in body.items() if name != "key"}
    (kept,) = api.api_keys.list_for("ada")
    assert body["key"] not in repr(kept)
    assert body["key"][20:52] not in repr(kept)


def test_api_key_authenticates_its_owner(api: Api) -> None:
    headers = key_of(api, "read", "submit")
    task_id = api.client.post("/v1/tasks", json={"prompt": "a circle"}, headers=headers).get_json()["id"]
    assert api.stored(task_id).user_id == "ada"
    assert api.client.get(f"/v1/tasks/{task_id}", headers=ADA).status_code == 200
    assert api.client.get(f"/v1/tasks/{task_id}", headers=headers).status_code == 200
    assert api.client.get(f"/v1/tasks/{task_id}", headers=signed_in_as("bob")).status_code == 404


@pytest.mark.parametrize("name", ["X-API-Key", "x-api-key", "X-Api-Key"])
def test_api_key_header_is_case_insensitive(api: Api, name: str) -> None:
    headers = {name: key_of(api, "read")["X-API-Key"]}
    assert api.client.get("/v1/models", headers=headers).status_code == 200


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_api_key_is_accepted_as_a_bearer_token(api: Api, scheme: str) -> None:
    headers = {"Authorization": f"{scheme} {key_of(api, 'read')['X-API-Key']}"}
    api.stored_task(user_id="ada")
    assert len(api.client.get("/v1/tasks", headers=headers).get_json()["tasks"]) == 1
    assert api.client.post("/v1/tasks", json={"prompt": "x"}, headers=headers).status_code == 403


def changed(key: str) -> dict[str, str]:
    other_secret = key[:20] + ("A" if key[20] != "A" else "B") + key[21:-6]
    unknown, _ = new_key()
    other_id = "drk_" + unknown + key[20:-6]
    return {
        "empty": "",
        "a word": "secret",
        "cut": key[:-1],
        "a wrong checksum": key[:-1] + ("0" if key[-1] != "0" else "1"),
        "another secret": other_secret + checksum(other_secret),
        "another id": other_id + checksum(other_id),
        "another prefix": "dsk_" + key[4:],
        "doubled": key + key,
        "not ASCII": "drk_" + "é" * 54,
    }


@pytest.mark.parametrize(("name", "prefix"), [("X-API-Key", ""), ("Authorization", "Bearer ")])
@pytest.mark.parametrize("how", changed("drk_" + "0" * 54))
def test_request_is_rejected_with_an_invalid_api_key(api: Api, how: str, name: str, prefix: str) -> None:
    wrong = changed(key_of(api, *EVERYTHING)["X-API-Key"])[how]
    latin = (prefix + wrong).encode().decode("latin-1")
    answer = api.client.get("/v1/tasks", headers={name: latin})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "unauthenticated")


def test_request_is_rejected_with_both_api_key_and_token(api: Api) -> None:
    answer = api.client.get("/v1/tasks", headers={**key_of(api, "read"), **ADA})
    assert answer.status_code == 401
    assert "not both" in answer.get_json()["detail"]


def test_api_key_is_rejected_after_its_expiry(api: Api) -> None:
    headers = key_of(api, "read", expires_in_days=1)
    api.clock.advance(86_399)
    assert api.client.get("/v1/models", headers=headers).status_code == 200
    api.clock.advance(1)  # although it was read from the store a second ago
    assert api.client.get("/v1/models", headers=headers).status_code == 401


def needed_scopes(api: Api) -> dict[tuple[str, str], frozenset[Scope]]:
    """Return the scopes that each operation requires, by verb and path, without internal ones."""
    return {
        (verb, rule.rule): operation.scopes_for(verb)
        for rule in api.app.url_map.iter_rules()
        if (operation := operation_of(api.app.view_functions[rule.endpoint])) is not None
        and rule.rule.startswith(("/v1/", "/openai/v1/"))
        for verb in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def test_every_operation_requires_its_scope(api: Api) -> None:
    every = key_of(api, *EVERYTHING)
    lacking = {scope: key_of(api, *(other for other in EVERYTHING if other != scope)) for scope in Scope}
    asked = needed_scopes(api)
    assert frozenset().union(*asked.values()) == set(Scope)
    for (verb, rule), scope in ((operation, scope) for operation, each in asked.items() for scope in each):
        path = re.sub(r"<int:[^>]*>", "0", rule)
        path = re.sub(r"<[^>]+>", "x", path)
        refused = api.client.open(path, method=verb, headers=lacking[scope])
        error = refused.get_json()
        error = error.get("error", error)  # OpenAI's shape
        assert (refused.status_code, error["code"]) == (403, "forbidden"), (verb, rule)
        if not rule.startswith(("/v1/dead-letters", "/v1/operations")):  # which are for operators
            assert error.get("detail", error.get("message")) == f"the API key lacks the scope '{scope}'"
            allowed = api.client.open(path, method=verb, headers=every)
            assert allowed.status_code != 403, (verb, rule)


def test_read_scope_does_not_permit_submitting(api: Api) -> None:
    asked = needed_scopes(api)
    assert asked["GET", "/v1/tasks"] == {Scope.READ}
    assert asked["POST", "/v1/tasks"] == asked["DELETE", "/v1/tasks/<task_id>"] == {Scope.SUBMIT}
    paths = api.client.get("/openapi.json").get_json()["paths"]
    assert paths["/v1/tasks"]["post"]["security"] == [{"bearer": []}, {"apiKey": ["submit"]}]
    assert "403" in paths["/v1/tasks"]["post"]["responses"]
    share = paths["/v1/tasks/{task_id}/shares"]["post"]
    assert share["security"] == [{"bearer": []}, {"apiKey": ["read", "submit"]}]


def test_operators_admin_key_may_manage_dead_letters(api: Api) -> None:
    olga = signed_in_as("olga")
    admin = {"X-API-Key": create(api, olga, scopes=["admin"]).get_json()["key"]}
    reader = {"X-API-Key": create(api, olga, scopes=["read", "submit"]).get_json()["key"]}
    assert api.client.get("/v1/dead-letters", headers=admin).status_code == 200
    assert api.client.get("/v1/dead-letters", headers=reader).status_code == 403
    assert api.client.get("/v1/dead-letters", headers=key_of(api, "admin")).status_code == 403


def test_request_log_has_the_key_id_and_not_the_key(api: Api) -> None:
    headers = key_of(api, "read")
    with structlog.testing.capture_logs() as lines:
        api.client.get("/v1/models", headers=headers)
        api.client.get("/v1/models", headers=ADA)
    by_key, by_token = (line for line in lines if line["event"] == "request_finished")
    assert (by_key["user_id"], by_key["api_key_id"]) == ("ada", headers["X-API-Key"][4:20])
    assert (by_token["user_id"], by_token["api_key_id"]) == ("ada", None)
    assert headers["X-API-Key"] not in repr(lines)


def test_document_lists_the_problems_of_api_keys_everywhere(api: Api) -> None:
    for path, verbs in api.client.get("/openapi.json").get_json()["paths"].items():
        for operation in verbs.values():
            if path.startswith(("/v1/", "/openai/v1/")):
                assert {"401", "403", "503"} <= operation["responses"].keys(), path
            else:
                assert "403" not in operation["responses"], path


def test_api_key_cannot_create_a_key_with_more_scopes(api: Api) -> None:
    narrow = key_of(api, "admin", "read")
    refused = create(api, narrow, scopes=["read", "submit"])
    assert (refused.status_code, refused.get_json()["code"]) == (403, "forbidden")
    assert "submit" in refused.get_json()["detail"]
    made = create(api, narrow, scopes=["read"])
    assert (made.status_code, made.get_json()["scopes"]) == (201, ["read"])
    assert [key.user_id for key in api.api_keys.list_for("ada")] == ["ada", "ada"]


def test_api_key_cannot_create_a_key_that_outlives_it(api: Api) -> None:
    short = key_of(api, "admin", expires_in_days=2)
    ends_at = api.client.get("/v1/keys", headers=ADA).get_json()["keys"][0]["expires_at"]
    assert create(api, short, scopes=["admin"], expires_in_days=3).status_code == 403
    assert create(api, short, scopes=["admin"], expires_in_days=1).status_code == 201
    assert create(api, short, scopes=["admin"]).get_json()["expires_at"] == ends_at


def test_revoked_key_is_rejected(api: Api) -> None:
    headers = key_of(api, "read")
    key_id = headers["X-API-Key"][4:20]
    assert api.client.get("/v1/models", headers=headers).status_code == 200
    assert api.client.delete(f"/v1/keys/{key_id}", headers=ADA).status_code == 204
    assert api.client.get("/v1/models", headers=headers).status_code == 401
    assert api.client.get("/v1/keys", headers=ADA).get_json() == {"keys": []}
    again = api.client.delete(f"/v1/keys/{key_id}", headers=ADA)
    assert (again.status_code, again.get_json()["code"]) == (404, "api_key_not_found")


def test_key_revoked_elsewhere_is_rejected_after_the_cache_ttl(api: Api) -> None:
    headers = key_of(api, "read")
    assert api.client.get("/v1/models", headers=headers).status_code == 200
    api.api_keys.delete(headers["X-API-Key"][4:20])  # as another instance does
    api.clock.advance(API_KEYS_KNOWN_FOR.total_seconds() - 1)
    assert api.client.get("/v1/models", headers=headers).status_code == 200
    api.clock.advance(1)
    assert api.client.get("/v1/models", headers=headers).status_code == 401


def test_key_is_read_once_per_cache_ttl(api: Api) -> None:
    headers = key_of(api, "read")
    for _ in range(5):
        api.client.get("/v1/models", headers=headers)
    assert api.api_keys.reads == 1
    api.clock.advance(API_KEYS_KNOWN_FOR.total_seconds())
    api.client.get("/v1/models", headers=headers)
    assert api.api_keys.reads == 2


def test_last_use_is_recorded_every_ten_minutes(api: Api) -> None:
    def last_used() -> str | None:
        used: str | None = api.client.get("/v1/keys", headers=ADA).get_json()["keys"][0]["last_used_at"]
        return used

    headers = key_of(api, "read")
    assert last_used() is None
    api.client.get("/v1/models", headers=headers)
    first = last_used()
    assert first == api.clock.now().isoformat().replace("+00:00", "Z")
    api.clock.advance(599)
    api.client.get("/v1/models", headers=headers)
    assert last_used() == first
    api.clock.advance(1)
    api.client.get("/v1/models", headers=headers)
    assert last_used() != first


def test_cached_key_works_and_others_get_503_without_firestore(api: Api) -> None:
    known, unknown = key_of(api, "read"), key_of(api, "read")
    api.client.get("/v1/models", headers=known)
    api.clock.advance(1)
    api.api_keys.unavailable = True
    assert api.client.get("/v1/models", headers=known).status_code == 200
    refused = api.client.get("/v1/models", headers=unknown)
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "2")


def test_request_succeeds_when_the_use_cannot_be_recorded(api: Api) -> None:
    headers = key_of(api, "read")
    for seconds in (0, 590, 15):
        api.clock.advance(seconds)
        api.api_keys.unavailable = (
            seconds == 15
        )  # another update is due, and the key itself was read a moment ago
        assert api.client.get("/v1/models", headers=headers).status_code == 200


def test_create_is_rejected_at_the_maximum_number_of_keys(api: Api) -> None:
    for _ in range(MAX_KEYS_PER_CALLER):
        assert create(api).status_code == 201
    refused = create(api)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "too_many_api_keys")
    assert create(api, signed_in_as("bob")).status_code == 201


def test_concurrent_creations_do_not_exceed_the_maximum_number() -> None:
    class Contended(InMemoryApiKeys):
        """A store in which another call creates a key just before the first one."""

        rivals = 0

        def add(self, key: ApiKey) -> None:
            if self.rivals:
                self.rivals -= 1
                keys.create(ada, name="rival", scopes=frozenset(), good_for=None)
            super().add(key)

    store, ada = Contended(), Principal(user_id="ada")
    keys = ApiKeys(store=store, clock=FakeClock())
    for _ in range(MAX_KEYS_PER_CALLER - 1):
        keys.create(ada, name="first", scopes=frozenset(), good_for=None)
    store.rivals = 1
    with pytest.raises(TooManyApiKeysError):
        keys.create(ada, name="last", scopes=frozenset(), good_for=None)
    assert [key.name for key in store.list_for("ada")].count("rival") == 1
    assert len(store.list_for("ada")) == MAX_KEYS_PER_CALLER


def test_key_revoked_while_it_is_read_is_not_cached() -> None:
    class Slow(InMemoryApiKeys):
        """A store in which a key is revoked between the read and its result."""

        def get(self, key_id: str) -> ApiKey:
            found = super().get(key_id)
            cached.delete(key_id)
            return found

    store, clock = Slow(), FakeClock()
    cached = CachedApiKeys(store, clock=clock, known_for=API_KEYS_KNOWN_FOR)
    created = ApiKeys(store=store, clock=clock).create(
        Principal(user_id="ada"), name="key", scopes=frozenset(), good_for=None
    )
    assert cached.get(created.record.id) == created.record
    with pytest.raises(ApiKeyNotFoundError):
        cached.get(created.record.id)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"name": ""}, "/name"),
        ({"name": "  "}, "/name"),
        ({"name": "two\nlines"}, "/name"),
        ({"name": "x" * 101}, "/name"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["write"]}, "/scopes/0"),
        ({"scopes": "read"}, "/scopes"),
        ({"expires_in_days": 0}, "/expires_in_days"),
        ({"expires_in_days": 3_651}, "/expires_in_days"),
        ({"user_id": "bob"}, "/user_id"),
    ],
)
def test_create_names_each_invalid_field(api: Api, changes: dict[str, Any], pointer: str) -> None:
    refused = create(api, **changes)
    assert (refused.status_code, refused.get_json()["errors"][0]["pointer"]) == (422, pointer)


@given(st.integers(min_value=0, max_value=57), st.sampled_from("0Az"))
def test_checksum_detects_one_wrong_character(place: int, character: str) -> None:
    key_id, key = new_key()
    assert id_of(key) == key_id
    wrong = key[:place] + character + key[place + 1 :]
    assert (id_of(wrong) is None) == (wrong != key)


def test_checksum_is_crc32_in_base_62() -> None:
    assert checksum("drk_" + "0" * 48) == "4Se7aO"

"""The ApiKeyStore's contract, on the fake and on Firestore's emulator."""

from dataclasses import replace
from datetime import timedelta

import pytest
from google.cloud.firestore import Client

from frontend_api.adapters.firestore.api_keys import COLLECTION, FirestoreApiKeys
from frontend_api.api_keys.api_key import ApiKey, ApiKeyNotFoundError, hashed, new_key
from frontend_api.api_keys.ports import ApiKeyStore
from frontend_api.identity.ports import Scope
from tests.contract.outages import assert_each_raises_unavailable
from tests.factories import NOW
from tests.fakes.in_memory_api_keys import InMemoryApiKeys


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def keys(request: pytest.FixtureRequest) -> ApiKeyStore:
    if request.param == "fake":
        return InMemoryApiKeys()
    return FirestoreApiKeys(request.getfixturevalue("firestore"), timeout_seconds=10)


@pytest.fixture(params=["fake", "emulator"])
def unreachable(request: pytest.FixtureRequest, unreachable_firestore: Client) -> ApiKeyStore:
    if request.param == "fake":
        fake = InMemoryApiKeys()
        fake.unavailable = True
        return fake
    return FirestoreApiKeys(unreachable_firestore, timeout_seconds=0.5)


def made_key(second: int = 0, **changes: object) -> ApiKey:
    key_id, shown = new_key()
    key = ApiKey(
        id=key_id,
        user_id="ada",
        name="nightly – batch",
        scopes=frozenset({Scope.READ, Scope.SUBMIT}),
        secret_sha256=hashed(shown),
        created_at=NOW + timedelta(seconds=second),
        expires_at=NOW + timedelta(days=1),
    )
    return replace(key, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize("changes", [{}, {"expires_at": None}, {"last_used_at": NOW}])
def test_get_returns_the_added_key(keys: ApiKeyStore, changes: dict[str, object]) -> None:
    key = replace(made_key(), **changes)  # type: ignore[arg-type]
    keys.add(key)
    assert keys.get(key.id) == key


def test_list_for_returns_the_users_keys_newest_first(keys: ApiKeyStore) -> None:
    own = [made_key(second) for second in range(3)]
    for key in (*own, made_key(user_id="bob")):
        keys.add(key)
    assert keys.list_for("ada") == tuple(reversed(own))
    assert keys.list_for("unknown") == ()


def test_record_use_changes_only_the_time_of_use(keys: ApiKeyStore) -> None:
    key = made_key()
    keys.add(key)
    keys.record_use(key, NOW)
    assert keys.get(key.id) == replace(key, last_used_at=NOW)


def test_deleted_key_is_not_found(keys: ApiKeyStore) -> None:
    key = made_key()
    keys.add(key)
    keys.delete(key.id)
    keys.delete(key.id)
    with pytest.raises(ApiKeyNotFoundError):
        keys.record_use(key, NOW)
    with pytest.raises(ApiKeyNotFoundError):
        keys.get(key.id)


@pytest.mark.parametrize("key_id", ["x", "../tasks/x", "a/b", "é" * 16, "." * 16, "__reserved_id__"])
def test_get_raises_not_found_for_malformed_ids(keys: ApiKeyStore, key_id: str) -> None:
    with pytest.raises(ApiKeyNotFoundError):
        keys.get(key_id)


@pytest.mark.emulator
def test_unknown_scope_is_ignored(firestore: Client) -> None:
    store = FirestoreApiKeys(firestore, timeout_seconds=10)
    key = made_key()
    store.add(key)
    firestore.collection(COLLECTION).document(key.id).update({"scopes": ["read", "everything"]})
    assert store.get(key.id).scopes == {Scope.READ}


@pytest.mark.timeout(30)
def test_methods_raise_within_seconds_when_unreachable(unreachable: ApiKeyStore) -> None:
    key = made_key()
    assert_each_raises_unavailable(
        lambda: unreachable.add(key),
        lambda: unreachable.get(key.id),
        lambda: unreachable.list_for("ada"),
        lambda: unreachable.record_use(key, NOW),
        lambda: unreachable.delete(key.id),
    )

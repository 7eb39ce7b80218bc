"""The ApiKeyStore's contract, on the fake and on Firestore's emulator."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.cloud.firestore import DELETE_FIELD, Client

from frontend_api.adapters.firestore.api_keys import COLLECTION, FirestoreApiKeys
from frontend_api.api_keys.api_key import ApiKey, ApiKeyNotFoundError, hashed, new_key
from frontend_api.api_keys.authenticator import KeyOrTokenAuthenticator
from frontend_api.api_keys.ports import ApiKeyStore
from frontend_api.identity.allowed_users import AllowedUsers
from frontend_api.identity.emulator_tokens import EmulatorAuthenticator
from frontend_api.identity.ports import NotAuthenticatedError, Scope
from frontend_api.record_seal import RecordSeal
from tests.contract.outages import assert_each_raises_unavailable
from tests.factories import NOW
from tests.fakes.fake_clock import FakeClock
from tests.fakes.in_memory_api_keys import InMemoryApiKeys
from tests.recorded_telemetry import CountedMetrics, labelled

SEAL = RecordSeal.derived_from(b"known to the API only")


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def keys(request: pytest.FixtureRequest) -> ApiKeyStore:
    if request.param == "fake":
        return InMemoryApiKeys()
    return FirestoreApiKeys(request.getfixturevalue("firestore"), seal=SEAL, timeout_seconds=60)


@pytest.fixture(params=["fake", "emulator"])
def unreachable(request: pytest.FixtureRequest, unreachable_firestore: Client) -> ApiKeyStore:
    if request.param == "fake":
        fake = InMemoryApiKeys()
        fake.unavailable = True
        return fake
    return FirestoreApiKeys(unreachable_firestore, seal=SEAL, timeout_seconds=0.5)


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
    unsealed = FirestoreApiKeys(firestore, seal=RecordSeal(None), timeout_seconds=60)
    key = made_key()
    unsealed.add(key)
    firestore.collection(COLLECTION).document(key.id).update({"scopes": ["read", "everything"]})
    assert unsealed.get(key.id).scopes == {Scope.READ}


def forged(field: str, key: ApiKey) -> dict[str, Any]:
    changes: dict[str, dict[str, Any]] = {
        "user_id": {"user_id": "admin"},
        "scopes": {"scopes": ["admin", "read", "submit"]},
        "secret_sha256": {"secret_sha256": hashed(new_key()[1])},
        "expires_at": {"expires_at": None},
        "expires_at later": {"expires_at": NOW + timedelta(days=9)},
        "created_at": {"created_at": "2026-01-01T12:00:00+00:00"},
        "a new field": {"operator": True},
        "no seal": {"seal": DELETE_FIELD},
        "a seal of another type": {"seal": 1},
        "a seal of another key's record": {"seal": SEAL.of("callback", {"id": key.id})},
        "bytes": {"name": b"nightly"},
    }
    return changes[field]


@pytest.mark.emulator
@pytest.mark.parametrize(
    "field",
    [
        "user_id", "scopes", "secret_sha256", "expires_at", "expires_at later", "created_at", "a new field",
        "no seal", "a seal of another type", "a seal of another key's record", "bytes",
    ],
)  # fmt: skip
def test_record_that_another_process_changed_is_no_key(firestore: Client, field: str) -> None:
    store = FirestoreApiKeys(firestore, seal=SEAL, timeout_seconds=60)
    key = made_key()
    store.add(key)
    counted = CountedMetrics()
    firestore.collection(COLLECTION).document(key.id).update(forged(field, key))
    with pytest.raises(ApiKeyNotFoundError):
        store.get(key.id)
    assert store.list_for(key.user_id) == ()
    assert counted.of("darkroom.records.refused")[labelled(record="api_key")] >= 1


@pytest.mark.emulator
def test_record_written_with_a_workers_rights_does_not_authenticate(firestore: Client) -> None:
    """A worker may write any document, but has no seal: it copies one, or makes one of its own."""
    store = FirestoreApiKeys(firestore, seal=SEAL, timeout_seconds=60)
    theirs = made_key()
    store.add(theirs)
    sealed = firestore.collection(COLLECTION).document(theirs.id).get().to_dict() or {}
    key_id, shown = new_key()
    own = {**sealed, "id": key_id, "secret_sha256": hashed(shown)}
    guessed = FirestoreApiKeys(firestore, seal=RecordSeal.derived_from(b"a guess"), timeout_seconds=60)
    authenticator = KeyOrTokenAuthenticator(
        keys=store,
        others=EmulatorAuthenticator(project_id="demo-unit"),
        clock=FakeClock(),
        allowed=AllowedUsers(everyone=True),
    )
    for record in (own, {**own, "id": theirs.id}, {name: own[name] for name in own if name != "seal"}):
        firestore.collection(COLLECTION).document(key_id).set(record)
        with pytest.raises(NotAuthenticatedError):
            authenticator.principal({"X-API-Key": shown})
    firestore.collection(COLLECTION).document(key_id).delete()
    guessed.add(replace(theirs, id=key_id, secret_sha256=hashed(shown)))
    with pytest.raises(NotAuthenticatedError):
        authenticator.principal({"X-API-Key": shown})


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

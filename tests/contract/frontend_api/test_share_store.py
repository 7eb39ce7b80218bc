"""The ShareStore's contract, on the fake and on Firestore's emulator."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from google.cloud.firestore import DELETE_FIELD, Client

from frontend_api.adapters.firestore.shares import COLLECTION, FirestoreShares
from frontend_api.record_seal import RecordSeal
from frontend_api.shares.ports import ShareStore
from frontend_api.shares.share import Share, ShareNotFoundError, id_of, new_token
from tests.contract.outages import assert_each_raises_unavailable
from tests.factories import NOW
from tests.fakes.in_memory_shares import InMemoryShares
from tests.recorded_telemetry import CountedMetrics, labelled

SEAL = RecordSeal.derived_from(b"known to the API only")


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def shares(request: pytest.FixtureRequest) -> ShareStore:
    if request.param == "fake":
        return InMemoryShares()
    return FirestoreShares(request.getfixturevalue("firestore"), seal=SEAL, timeout_seconds=10)


@pytest.fixture(params=["fake", "emulator"])
def unreachable(request: pytest.FixtureRequest, unreachable_firestore: Client) -> ShareStore:
    if request.param == "fake":
        fake = InMemoryShares()
        fake.unavailable = True
        return fake
    return FirestoreShares(unreachable_firestore, seal=SEAL, timeout_seconds=0.5)


def made_share(second: int = 0, **changes: object) -> Share:
    share = Share(
        id=id_of(new_token()),
        user_id="ada",
        task_id="task-1",
        image_index=3,
        object_name="tasks/task-1/20260101T120000.000000Z/attempt-1/3.png",
        created_at=NOW + timedelta(seconds=second, microseconds=7),
        expires_at=NOW + timedelta(days=7),
    )
    return replace(share, **changes)  # type: ignore[arg-type]


def test_get_returns_the_added_share(shares: ShareStore) -> None:
    share = made_share()
    shares.add(share)
    assert shares.get(share.id) == share


def test_list_for_returns_the_tasks_shares_newest_first(shares: ShareStore) -> None:
    own = [made_share(second) for second in range(3)]
    for share in (*own, made_share(task_id="task-2")):
        shares.add(share)
    assert shares.list_for("task-1") == tuple(reversed(own))
    assert shares.list_for("unknown") == ()


def test_deleted_share_is_not_found(shares: ShareStore) -> None:
    share, other = made_share(), made_share()
    for each in (share, other):
        shares.add(each)
    for _ in range(2):
        shares.delete(share.id)
    with pytest.raises(ShareNotFoundError):
        shares.get(share.id)
    assert shares.list_for("task-1") == (other,)


def test_delete_all_of_deletes_the_shares_of_one_task(shares: ShareStore) -> None:
    other = made_share(task_id="task-2")
    for share in (made_share(), made_share(1), other):
        shares.add(share)
    for _ in range(2):
        shares.delete_all_of("task-1")
    assert shares.list_for("task-1") == ()
    assert shares.get(other.id) == other


@pytest.mark.parametrize("share_id", ["x", "../tasks/x", "a/b", "é" * 32, "." * 32, "A" * 32, "__reserved__"])
def test_get_raises_not_found_for_malformed_ids(shares: ShareStore, share_id: str) -> None:
    with pytest.raises(ShareNotFoundError):
        shares.get(share_id)


def forged(field: str) -> dict[str, Any]:
    changes: dict[str, dict[str, Any]] = {
        "task_id": {"task_id": "task-2"},
        "user_id": {"user_id": "bob"},
        "object_name": {"object_name": "tasks/task-2/0.png"},
        "expires_at": {"expires_at": NOW + timedelta(days=365)},
        "a new field": {"shows_all": True},
        "no seal": {"seal": DELETE_FIELD},
        "bytes": {"object_name": b"tasks"},
    }
    return changes[field]


@pytest.mark.emulator
@pytest.mark.parametrize(
    "field", ["task_id", "user_id", "object_name", "expires_at", "a new field", "no seal", "bytes"]
)
def test_share_that_another_process_changed_shows_nothing(firestore: Client, field: str) -> None:
    store = FirestoreShares(firestore, seal=SEAL, timeout_seconds=10)
    share = made_share()
    store.add(share)
    counted = CountedMetrics()
    firestore.collection(COLLECTION).document(share.id).update(forged(field))
    with pytest.raises(ShareNotFoundError):
        store.get(share.id)
    assert store.list_for(share.task_id) == ()
    assert counted.of("darkroom.records.refused")[labelled(record="share")] >= 1


@pytest.mark.emulator
def test_share_written_with_a_workers_rights_shows_nothing(firestore: Client) -> None:
    """A worker may write any document, but has no seal: it copies one, or makes one of its own."""
    store = FirestoreShares(firestore, seal=SEAL, timeout_seconds=10)
    guessed = FirestoreShares(firestore, seal=RecordSeal.derived_from(b"a guess"), timeout_seconds=10)
    theirs, own = made_share(), made_share()
    store.add(theirs)
    sealed = firestore.collection(COLLECTION).document(theirs.id).get().to_dict() or {}
    firestore.collection(COLLECTION).document(own.id).set({**sealed, "id": own.id})
    with pytest.raises(ShareNotFoundError):
        store.get(own.id)
    firestore.collection(COLLECTION).document(own.id).delete()
    guessed.add(own)
    with pytest.raises(ShareNotFoundError):
        store.get(own.id)
    store.delete_all_of(own.task_id)  # forged ones, too
    assert not firestore.collection(COLLECTION).document(own.id).get().exists


@pytest.mark.timeout(30)
def test_methods_raise_within_seconds_when_unreachable(unreachable: ShareStore) -> None:
    share = made_share()
    assert_each_raises_unavailable(
        lambda: unreachable.add(share),
        lambda: unreachable.get(share.id),
        lambda: unreachable.list_for("task-1"),
        lambda: unreachable.delete(share.id),
        lambda: unreachable.delete_all_of("task-1"),
    )

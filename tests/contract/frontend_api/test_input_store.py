"""The contracts of InputStore and InputUses, on the fakes and on the emulators."""

import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.storage import Client as StorageClient

from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.inputs import input_folder, input_object_name
from common.ports import TaskStore
from frontend_api.adapters.firestore.input_uses import FirestoreInputUses
from frontend_api.adapters.gcs_input_store import GcsInputStore
from frontend_api.inputs.ports import InputExistsError, InputStore, InputUses
from frontend_api.inputs.stored_input import InputNotFoundError, StoredInput
from local_stack.loopback import free_port
from tests.contract.outages import assert_each_raises_unavailable
from tests.emulators import Emulators
from tests.factories import parameters, submitted_task
from tests.fakes.in_memory_input_store import InMemoryInputStore, InMemoryInputUses
from tests.fakes.in_memory_task_store import InMemoryTaskStore

CONTENT = bytes(range(256)) * 40
NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
TOMORROW, NEXT_YEAR = NOW + timedelta(days=1), NOW + timedelta(days=365)
EITHER = ["fake", pytest.param("emulator", marks=pytest.mark.emulator)]


@dataclass
class Arranged:
    store: InputStore
    broken: InputStore


def client(url: str) -> StorageClient:
    return StorageClient(
        project="demo-darkroom", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
    )


@pytest.fixture(params=EITHER)
def arranged(request: pytest.FixtureRequest) -> Arranged:
    if request.param == "fake":
        broken = InMemoryInputStore()
        broken.unavailable = True
        return Arranged(InMemoryInputStore(), broken)
    emulators: Emulators = request.getfixturevalue("emulators")
    name = emulators.names.images_bucket
    unreachable = client(f"http://127.0.0.1:{free_port()}")
    return Arranged(
        GcsInputStore(client(emulators.storage_url), bucket=name),
        GcsInputStore(unreachable, bucket=name, timeout_seconds=0.5, upload_timeout_seconds=0.5),
    )


@pytest.fixture
def store(arranged: Arranged) -> InputStore:
    return arranged.store


@pytest.fixture
def owner() -> str:
    return f"ada-{uuid.uuid4().hex}"


def requested(owner: str, digit: str = "a", *, expires_at: datetime = TOMORROW) -> StoredInput:
    return StoredInput(
        id=digit * 64,
        object_name=input_object_name(owner, digit * 64),
        content_type="image/webp",
        size_bytes=len(CONTENT),
        width=640,
        height=480,
        created_at=NOW,
        expires_at=expires_at,
    )


def test_created_input_is_read_back(store: InputStore, owner: str) -> None:
    wanted = requested(owner)
    created = store.create(wanted, CONTENT)
    found = store.get(wanted.object_name)
    assert found == created
    assert replace(found, created_at=NOW) == wanted
    assert not found.is_kept
    assert store.read(found) == CONTENT


def test_second_creation_is_refused(store: InputStore, owner: str) -> None:
    store.create(requested(owner), CONTENT)
    with pytest.raises(InputExistsError):
        store.create(requested(owner), CONTENT)


def test_missing_input_is_reported(store: InputStore, owner: str) -> None:
    created = store.create(requested(owner), CONTENT)
    assert store.delete_unchanged(created)
    with pytest.raises(InputNotFoundError):
        store.get(created.object_name)
    with pytest.raises(InputNotFoundError):
        store.read(created)
    with pytest.raises(InputNotFoundError):
        store.keep(created, until=NEXT_YEAR, for_tasks=True)
    assert store.delete_unchanged(created)


def test_keep_extends_the_expiry_and_never_shortens_it(store: InputStore, owner: str) -> None:
    created = store.create(requested(owner), CONTENT)
    kept = store.keep(created, until=NEXT_YEAR, for_tasks=True)
    assert (kept.is_kept, kept.expires_at) == (True, NEXT_YEAR)
    again = store.keep(kept, until=TOMORROW, for_tasks=False)
    assert again.is_kept
    assert again.expires_at >= NEXT_YEAR
    assert replace(again, created_at=NOW) == replace(
        requested(owner), is_kept=True, expires_at=again.expires_at
    )


def test_changes_by_others_are_merged(store: InputStore, owner: str) -> None:
    stale = store.create(requested(owner), CONTENT)
    store.keep(stale, until=TOMORROW + timedelta(days=1), for_tasks=True)
    kept = store.keep(stale, until=NEXT_YEAR, for_tasks=False)
    assert (kept.is_kept, kept.expires_at) == (True, NEXT_YEAR)
    withdrawn = store.withdraw(stale if stale.is_kept else kept)
    assert (withdrawn.is_kept, withdrawn.expires_at) == (False, NEXT_YEAR)
    assert store.withdraw(withdrawn) == withdrawn


def test_input_that_has_changed_is_not_deleted(store: InputStore, owner: str) -> None:
    created = store.create(requested(owner), CONTENT)
    kept = store.keep(created, until=NEXT_YEAR, for_tasks=True)
    assert not store.delete_unchanged(created)
    withdrawn = store.withdraw(kept)
    assert not store.delete_unchanged(kept)
    assert store.get(created.object_name) == withdrawn
    assert store.delete_unchanged(withdrawn)


def test_input_is_created_again_after_its_deletion(store: InputStore, owner: str) -> None:
    created = store.create(requested(owner), CONTENT)
    store.delete_unchanged(created)
    again = store.create(requested(owner), CONTENT)
    assert again.id == created.id
    assert not store.delete_unchanged(created)
    assert store.delete_unchanged(again)


def test_bytes_are_counted_per_owner(store: InputStore, owner: str) -> None:
    other = f"{owner}-2"
    for each in (requested(owner), requested(owner, "b"), requested(other)):
        store.create(each, CONTENT)
    folder, smaller, larger = input_folder(owner), len(CONTENT) - 1, len(CONTENT) + 1
    assert store.bytes_in(folder, each_at_least=smaller) == 2 * len(CONTENT)
    assert store.bytes_in(folder, each_at_least=larger) == 2 * larger
    assert store.bytes_in(input_folder(f"{owner}-3"), each_at_least=larger) == 0


def test_expired_inputs_are_listed(store: InputStore, owner: str) -> None:
    expired, alive = requested(owner), requested(owner, "b", expires_at=NEXT_YEAR)
    for each in (expired, alive):
        store.create(each, CONTENT)
    listed = {each.object_name for each in store.list_expired(now=TOMORROW)}
    assert expired.object_name in listed
    assert alive.object_name not in listed


def test_store_raises_when_unreachable(arranged: Arranged, owner: str) -> None:
    broken, stored = arranged.broken, replace(requested(owner), is_kept=True, revision="1/1")
    assert_each_raises_unavailable(
        lambda: broken.create(stored, CONTENT),
        lambda: broken.get(stored.object_name),
        lambda: broken.read(stored),
        lambda: broken.keep(stored, until=NEXT_YEAR, for_tasks=True),
        lambda: broken.withdraw(stored),
        lambda: broken.delete_unchanged(stored),
        lambda: broken.bytes_in("inputs/x/", each_at_least=0),
        lambda: broken.list_expired(now=NOW),
    )


@pytest.fixture(params=EITHER)
def tasks_and_uses(request: pytest.FixtureRequest) -> tuple[TaskStore, InputUses]:
    if request.param == "fake":
        tasks = InMemoryTaskStore()
        return tasks, InMemoryInputUses(tasks)
    firestore = request.getfixturevalue("firestore")
    return FirestoreTaskStore(firestore), FirestoreInputUses(firestore, timeout_seconds=60)


def test_uses_finds_the_tasks_of_an_input(tasks_and_uses: tuple[TaskStore, InputUses], owner: str) -> None:
    tasks, uses = tasks_and_uses
    image, mask = "a" * 64, "b" * 64
    pictures = parameters().model_copy(update={"image": image, "mask_image": mask})
    tasks.create(submitted_task(task_id="plain", user_id=owner))
    created = tasks.create(submitted_task(task_id="edit", user_id=owner, parameters=pictures))
    assert uses.is_used(input_object_name(owner, image))
    assert uses.is_used(input_object_name(owner, mask))
    assert not uses.is_used(input_object_name("bob", image))
    assert not uses.is_used(input_object_name(owner, "c" * 64))
    assert tasks.get("edit").parameters.inputs == {"image": image, "mask_image": mask}
    tasks.delete(created.id, now=NOW)
    assert not uses.is_used(input_object_name(owner, image))


def test_uses_raises_when_firestore_is_unreachable(request: pytest.FixtureRequest) -> None:
    unreachable = request.getfixturevalue("unreachable_firestore")
    assert_each_raises_unavailable(
        lambda: FirestoreInputUses(unreachable, timeout_seconds=0.5).is_used("inputs/x/y")
    )

"""The CheckpointStore's contract, on the fake and on the local bucket server."""

import pytest

from gpu_subscriber.adapters.gcs_checkpoint_store import GcsCheckpointStore
from gpu_subscriber.ports import Checkpoint, CheckpointStore
from tests.fakes.in_memory_objects import InMemoryCheckpointStore
from tests.fakes.own_resources import OwnResources

MAX_BYTES = 100_000


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def store(request: pytest.FixtureRequest) -> CheckpointStore:
    if request.param == "fake":
        return InMemoryCheckpointStore(max_bytes=MAX_BYTES)
    return GcsCheckpointStore(OwnResources(request.getfixturevalue("emulators")).bucket, max_bytes=MAX_BYTES)


def checkpoint(index: int = 0, step: int = 7) -> Checkpoint:
    return Checkpoint(index=index, step=step, state=bytes([step]) * 1_000)


def test_load_is_empty_for_unknown_task(store: CheckpointStore) -> None:
    assert store.load("tasks/task-1/") == {}


def test_load_returns_saved_checkpoints_by_image(store: CheckpointStore) -> None:
    store.save("tasks/task-1/", checkpoint(0))
    store.save("tasks/task-1/", checkpoint(11))
    store.save("tasks/task-10/", checkpoint(2))
    assert store.load("tasks/task-1/") == {0: checkpoint(0), 11: checkpoint(11)}


def test_save_replaces_the_earlier_checkpoint(store: CheckpointStore) -> None:
    store.save("tasks/task-1/", checkpoint(step=7))
    store.save("tasks/task-1/", checkpoint(step=9))
    assert store.load("tasks/task-1/") == {0: checkpoint(step=9)}


def test_discard_is_idempotent_and_affects_one_task(store: CheckpointStore) -> None:
    store.save("tasks/task-1/", checkpoint())
    store.save("tasks/task-10/", checkpoint())
    store.discard("tasks/task-1/")
    store.discard("tasks/task-1/")
    assert store.load("tasks/task-1/") == {}
    assert store.load("tasks/task-10/") == {0: checkpoint()}


def test_load_omits_oversized_checkpoints(store: CheckpointStore) -> None:
    store.save("tasks/task-1/", Checkpoint(index=0, step=1, state=bytes(MAX_BYTES)))
    store.save("tasks/task-1/", Checkpoint(index=1, step=1, state=bytes(MAX_BYTES + 1)))
    assert set(store.load("tasks/task-1/")) == {0}

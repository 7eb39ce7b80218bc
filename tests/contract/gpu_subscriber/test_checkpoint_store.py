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


def test_an_unknown_task_has_none(store: CheckpointStore) -> None:
    assert store.load("tasks/task-1/") == {}


def test_what_was_saved_is_loaded_by_image(store: CheckpointStore) -> None:
    store.save("tasks/task-1/", checkpoint(0))
    store.save("tasks/task-1/", checkpoint(11))
    store.save("tasks/task-10/", checkpoint(2))
    assert store.load("tasks/task-1/") == {0: checkpoint(0), 11: checkpoint(11)}


def test_a_later_checkpoint_takes_the_place_of_an_earlier_one(store: CheckpointStore) -> None:
    store.save("tasks/task-1/", checkpoint(step=7))
    store.save("tasks/task-1/", checkpoint(step=9))
    assert store.load("tasks/task-1/") == {0: checkpoint(step=9)}


def test_discarding_forgets_one_task_and_may_be_repeated(store: CheckpointStore) -> None:
    store.save("tasks/task-1/", checkpoint())
    store.save("tasks/task-10/", checkpoint())
    store.discard("tasks/task-1/")
    store.discard("tasks/task-1/")
    assert store.load("tasks/task-1/") == {}
    assert store.load("tasks/task-10/") == {0: checkpoint()}


def test_a_checkpoint_that_is_too_large_is_not_read(store: CheckpointStore) -> None:
    store.save("tasks/task-1/", Checkpoint(index=0, step=1, state=bytes(MAX_BYTES)))
    store.save("tasks/task-1/", Checkpoint(index=1, step=1, state=bytes(MAX_BYTES + 1)))
    assert set(store.load("tasks/task-1/")) == {0}

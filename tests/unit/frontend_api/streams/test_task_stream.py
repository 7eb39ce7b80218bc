"""Each task change is serialized once for all subscribers."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task
from frontend_api.streams.ports import TaskSnapshot
from frontend_api.streams.task_stream import SnapshotCache
from frontend_api.tasks.rendering import RenderTask, Snapshot
from tests.unit.frontend_api.conftest import Api

SUBSCRIBERS = 8


def snapshots_of_all(api: Api, shared: SnapshotCache, snapshot: TaskSnapshot) -> list[Snapshot]:
    """Return each subscriber's snapshot, all requested at the same time."""
    render = api.dependencies.tasks.render
    barrier = Barrier(SUBSCRIBERS)

    def ask(_: int) -> Snapshot:
        barrier.wait()
        assert snapshot.task is not None
        return shared.of(snapshot, snapshot.task, render)

    with ThreadPoolExecutor(SUBSCRIBERS) as pool:
        return list(pool.map(ask, range(SUBSCRIBERS)))


def seen(api: Api) -> Task:
    return api.stored(api.submit().get_json()["id"])


def test_change_is_serialized_once_for_all_subscribers(api: Api) -> None:
    shared, task = SnapshotCache(), seen(api)
    first = snapshots_of_all(api, shared, TaskSnapshot(task=task))
    second = snapshots_of_all(api, shared, TaskSnapshot(task=task))
    assert len({id(snapshot) for snapshot in first}) == len({id(snapshot) for snapshot in second}) == 1
    assert first[0] is not second[0]
    assert first[0].etag == second[0].etag


def test_serialization_error_reaches_all_subscribers(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Snapshot:
        raise DependencyUnavailableError("firestore")

    snapshot = TaskSnapshot(task=seen(api))
    monkeypatch.setattr(RenderTask, "__call__", refuse)
    with pytest.raises(DependencyUnavailableError):
        snapshots_of_all(api, SnapshotCache(), snapshot)

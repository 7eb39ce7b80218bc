"""The contract of TaskFlow, on the fake and on Firestore's emulator."""

import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.errors import DependencyUnavailableError
from common.domain.task import Failure, Task, TaskStatus, Usage
from common.ports import TaskStore
from frontend_api.adapters.firestore.task_flow import FirestoreTaskFlow
from frontend_api.stats.task_flow import TaskFlow
from frontend_api.usage.totals import NO_USAGE, UsageTotals
from local_stack.free_ports import free_port
from tests.emulators import Emulators
from tests.factories import NOW, parameters, spent, submitted_task
from tests.fakes.in_memory_task_flow import InMemoryTaskFlow
from tests.fakes.in_memory_task_store import InMemoryTaskStore

MINUTE = timedelta(minutes=1)


@dataclass
class Flowing:
    """A store, and the TaskFlow over it."""

    store: TaskStore
    flow: TaskFlow

    def queued(self, *, at: datetime = NOW, model: str = "demo") -> Task:
        asked = parameters().model_copy(update={"model": model})
        return self.store.create(submitted_task(task_id=uuid.uuid4().hex, now=at, parameters=asked))

    def claimed(self, *, at: datetime = NOW, model: str = "demo") -> Task:
        task = self.queued(at=at, model=model)
        return self.store.update(task.id, lambda t: t.claimed_by("worker-1", at, MINUTE))

    def completed(self, *, at: datetime = NOW, model: str = "demo", wasted: float = 0.0) -> None:
        task = self.claimed(at=at, model=model)
        claim = task.claim
        assert claim is not None
        usage = Usage(inference_seconds=2.0, gpu_seconds=2.0, wasted_gpu_seconds=wasted)
        self.store.update(task.id, lambda t: replace(t.completed(claim, (), at), usage=usage))

    def failed(self, code: str = "invalid_output", *, at: datetime = NOW, wasted: float = 0.0) -> Task:
        task = self.claimed(at=at)
        claim = task.claim
        assert claim is not None
        failure = Failure(code=code, message="no picture")
        return self.store.update(task.id, lambda t: t.failed(claim, failure, at, output=spent(wasted)))


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def flowing(request: pytest.FixtureRequest) -> Flowing:
    if request.param == "fake":
        store = InMemoryTaskStore()
        return Flowing(store=store, flow=InMemoryTaskFlow(store))
    emulators: Emulators = request.getfixturevalue("emulators")
    # A project per test, so that queries find no documents of other tests.
    client = firestore_client(f"demo-{uuid.uuid4().hex[:12]}", emulator_host=emulators.firestore_host)
    return Flowing(store=FirestoreTaskStore(client), flow=FirestoreTaskFlow(client, timeout_seconds=10))


@pytest.fixture(params=["fake", "emulator"])
def unreachable(request: pytest.FixtureRequest) -> TaskFlow:
    if request.param == "fake":
        flow = InMemoryTaskFlow(InMemoryTaskStore())
        flow.unavailable = True
        return flow
    nobody = firestore_client("demo-nobody", emulator_host=f"127.0.0.1:{free_port()}")
    return FirestoreTaskFlow(nobody, timeout_seconds=0.5)


def test_where_nothing_happened_nothing_is_counted(flowing: Flowing) -> None:
    assert flowing.flow.arrived("demo", since=NOW) == flowing.flow.ended("demo", since=NOW) == 0
    assert flowing.flow.totals(TaskStatus.COMPLETED, since=NOW) == NO_USAGE
    assert not flowing.flow.failure_codes(since=NOW, at_most=10)


def test_what_came_is_counted_whatever_became_of_it(flowing: Flowing) -> None:
    flowing.queued()
    flowing.claimed()
    flowing.completed(at=NOW + MINUTE)
    flowing.failed()
    flowing.queued(at=NOW - MINUTE)
    flowing.queued(model="another")
    assert flowing.flow.arrived("demo", since=NOW) == 4


def test_what_ended_is_counted_however_it_did(flowing: Flowing) -> None:
    flowing.completed()
    flowing.failed(at=NOW + MINUTE)
    cancelled = flowing.queued()
    flowing.store.update(cancelled.id, lambda t: t.cancelled(NOW))
    flowing.completed(at=NOW - MINUTE)
    flowing.completed(model="another")
    flowing.claimed()
    assert flowing.flow.ended("demo", since=NOW) == 3


def test_endings_are_added_up_by_status(flowing: Flowing) -> None:
    flowing.completed(wasted=0.5)
    flowing.completed(at=NOW + MINUTE, model="another")
    flowing.completed(at=NOW - MINUTE, wasted=100.0)
    flowing.failed(wasted=1.5)
    flow = flowing.flow
    assert flow.totals(TaskStatus.COMPLETED, since=NOW) == UsageTotals(
        tasks=2, gpu_seconds=4.0, wasted_gpu_seconds=0.5
    )
    assert flow.totals(TaskStatus.FAILED, since=NOW) == UsageTotals(
        tasks=1, gpu_seconds=0.0, wasted_gpu_seconds=1.5
    )
    assert flow.totals(TaskStatus.CANCELLED, since=NOW) == NO_USAGE


def test_failures_are_counted_by_code_those_that_failed_first_first(flowing: Flowing) -> None:
    flowing.failed("engine_hung", at=NOW + 2 * MINUTE)
    flowing.failed("device_lost", at=NOW + MINUTE)
    flowing.failed("device_lost")
    flowing.failed("engine_crashed", at=NOW - MINUTE)
    flowing.completed()
    assert flowing.flow.failure_codes(since=NOW, at_most=10) == {"device_lost": 2, "engine_hung": 1}
    assert flowing.flow.failure_codes(since=NOW, at_most=2) == {"device_lost": 2}


def test_a_task_that_is_retried_has_not_failed_any_more(flowing: Flowing) -> None:
    failed = flowing.failed()
    flowing.store.update(failed.id, lambda t: t.resubmitted(NOW + MINUTE))
    assert flowing.flow.totals(TaskStatus.FAILED, since=NOW) == NO_USAGE
    assert not flowing.flow.failure_codes(since=NOW, at_most=10)
    assert flowing.flow.arrived("demo", since=NOW + MINUTE) == 1


@pytest.mark.timeout(30)
def test_what_cannot_be_counted_is_said_within_seconds(unreachable: TaskFlow) -> None:
    for call in (
        lambda: unreachable.arrived("demo", since=NOW),
        lambda: unreachable.ended("demo", since=NOW),
        lambda: unreachable.totals(TaskStatus.FAILED, since=NOW),
        lambda: unreachable.failure_codes(since=NOW, at_most=1),
    ):
        with pytest.raises(DependencyUnavailableError):
            call()

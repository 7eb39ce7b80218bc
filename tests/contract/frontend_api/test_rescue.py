"""Rescue and its lock, on the fakes and on Firestore's emulator: one run at a time, and no task
lost when one crashes.
"""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from google.cloud.firestore import Client

from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.task import Task, TaskStatus
from common.ports import TaskStore
from frontend_api.adapters.firestore.rescue_lock import FirestoreRescueLock
from frontend_api.adapters.firestore.task_batches import FirestoreTaskBatches
from frontend_api.rescue.lock import RescueLock
from frontend_api.rescue.policy import RescuePolicy
from frontend_api.rescue.rescue import RescueRunningError, RescueStaleTasks
from frontend_api.tasks.final_events import PublishFinalEvent
from frontend_api.tasks.ports import TaskBatches
from tests.contract.outages import assert_each_raises_unavailable
from tests.factories import submitted_task
from tests.fakes.fake_clock import FakeClock
from tests.fakes.immediate_publisher import immediate_publisher
from tests.fakes.in_memory_input_store import no_inputs
from tests.fakes.in_memory_rescue_lock import InMemoryRescueLock
from tests.fakes.in_memory_task_batches import InMemoryTaskBatches
from tests.fakes.in_memory_task_queue import InMemoryTaskQueue
from tests.fakes.in_memory_task_store import InMemoryTaskStore
from tests.fakes.recording_publishers import RecordingEventPublisher

TTL = timedelta(seconds=60)


@dataclass
class Stored:
    """A store of tasks and the rescue lock, shared by several callers. `cut_off` is unreachable."""

    tasks: TaskStore
    batches: TaskBatches
    lock: RescueLock
    cut_off: RescueLock
    clock: FakeClock = field(default_factory=FakeClock)

    def rescue(self, queue: InMemoryTaskQueue, **policy: int) -> RescueStaleTasks:
        return RescueStaleTasks(
            store=self.tasks,
            publisher=immediate_publisher(queue, self.batches, self.clock),
            inputs=no_inputs(self.clock),
            publish_final_event=PublishFinalEvent(store=self.tasks, events=RecordingEventPublisher()),
            lock=self.lock,
            clock=self.clock,
            policy=RescuePolicy(**{"page_size": 3, **policy}),  # type: ignore[arg-type]
        )

    def task(self, **changes: object) -> Task:
        fields = {"task_id": uuid.uuid4().hex, "now": self.clock.now(), **changes}
        return self.tasks.create(submitted_task(**fields))


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def stored(request: pytest.FixtureRequest, unreachable_firestore: Client) -> Stored:
    if request.param == "fake":
        cut_off = InMemoryRescueLock()
        cut_off.unavailable = True
        tasks = InMemoryTaskStore()
        return Stored(tasks, InMemoryTaskBatches(tasks), InMemoryRescueLock(), cut_off)
    client = request.getfixturevalue("firestore")
    return Stored(
        FirestoreTaskStore(client, timeout_seconds=60),
        FirestoreTaskBatches(client, timeout_seconds=60),
        FirestoreRescueLock(client),
        FirestoreRescueLock(unreachable_firestore, timeout_seconds=0.5),
    )


def in_parallel(times: int, do: Callable[[int], bool]) -> int:
    """Return how many of the threads, which start together, succeed."""
    start = threading.Barrier(times)

    def run(number: int) -> bool:
        start.wait()
        return do(number)

    with ThreadPoolExecutor(times) as pool:
        return sum(pool.map(run, range(times)))


def test_lock_is_acquired_by_one_caller_when_free_or_expired(stored: Stored) -> None:
    def acquires(number: int) -> bool:
        return stored.lock.acquire(f"holder-{number}", now=stored.clock.now(), ttl=TTL) is not None

    assert in_parallel(8, acquires) == 1
    assert in_parallel(8, acquires) == 0
    stored.clock.advance(60)  # the holder has crashed
    assert in_parallel(8, acquires) == 1


def test_lock_is_renewed_and_released_by_its_holder_only(stored: Stored) -> None:
    lock, clock = stored.lock, stored.clock
    first = lock.acquire("first", now=clock.now(), ttl=TTL)
    assert first is not None
    clock.advance(59)
    renewed = lock.renew(first, now=clock.now(), ttl=TTL)
    assert renewed is not None
    assert renewed.expires_at == clock.now() + TTL
    clock.advance(59)
    assert lock.acquire("second", now=clock.now(), ttl=TTL) is None
    lock.release(renewed)
    second = lock.acquire("second", now=clock.now(), ttl=TTL)
    assert second is not None
    assert second.holder == "second"
    assert lock.renew(renewed, now=clock.now(), ttl=TTL) is None
    lock.release(renewed)
    assert lock.acquire("third", now=clock.now(), ttl=TTL) is None


def test_lock_raises_when_firestore_is_unreachable(stored: Stored) -> None:
    held = stored.lock.acquire("holder", now=stored.clock.now(), ttl=TTL)
    assert held is not None
    assert_each_raises_unavailable(
        lambda: stored.cut_off.acquire("holder", now=stored.clock.now(), ttl=TTL),
        lambda: stored.cut_off.renew(held, now=stored.clock.now(), ttl=TTL),
        lambda: stored.cut_off.release(held),
    )


def test_rescue_acts_once_on_each_kind_of_stale_task(stored: Stored) -> None:
    tasks, clock = stored.tasks, stored.clock
    ended = stored.task()
    ended = tasks.update(ended.id, lambda task: task.cancelled(clock.now()))
    unconfirmed = stored.task()
    lost = stored.task()
    tasks.update(lost.id, lambda task: task.enqueued(clock.now()))
    expired = stored.task()
    tasks.update(expired.id, lambda task: task.enqueued(clock.now()).claimed_by("w", clock.now(), TTL))
    used_up = stored.task(attempts=1)
    tasks.update(used_up.id, lambda task: task.claimed_by("w", clock.now(), TTL))
    overdue = stored.task(start_within=timedelta(seconds=10))
    clock.advance(3_700)
    living = stored.task()
    living = tasks.update(living.id, lambda task: task.claimed_by("w", clock.now(), TTL))

    queue = InMemoryTaskQueue()
    rescued = stored.rescue(queue)()
    assert (rescued.published, rescued.abandoned) == (3, 2)
    assert {task.id for task in queue.published} == {unconfirmed.id, lost.id, expired.id}
    for task, code in ((used_up, "attempts_exhausted"), (overdue, "deadline_exceeded")):
        abandoned = tasks.get(task.id)
        assert abandoned.failure is not None
        assert (abandoned.status, abandoned.failure.code) == (TaskStatus.FAILED, code)
    assert (tasks.get(ended.id), tasks.get(living.id)) == (ended, living)
    again = stored.rescue(queue)()
    assert (again.published, again.abandoned) == (0, 0)


def test_rescue_is_refused_when_another_is_running(stored: Stored) -> None:
    for _ in range(7):
        stored.task()
    stored.clock.advance(60)
    publishing, refused = threading.Event(), threading.Event()

    class Halting(InMemoryTaskQueue):
        def publish(self, *tasks: Task) -> None:
            publishing.set()
            assert refused.wait(30)
            super().publish(*tasks)

    queue = Halting()
    with ThreadPoolExecutor(1) as pool:
        working = pool.submit(stored.rescue(queue))
        assert publishing.wait(30)
        with pytest.raises(RescueRunningError):
            stored.rescue(queue)()
        refused.set()
        assert working.result(30).published == 7
    assert len(queue.published) == 7
    assert stored.rescue(queue)().published == 0


def test_rescue_is_correct_when_another_acts_at_the_same_time(stored: Stored) -> None:
    """A paused holder continues after another one has taken the lock: both process the same tasks."""
    waiting = [stored.task() for _ in range(4)]
    late = [stored.task(start_within=timedelta(seconds=10)) for _ in range(4)]
    stored.clock.advance(60)
    queue = InMemoryTaskQueue()
    meet = threading.Barrier(2)

    class Meeting(InMemoryRescueLock):
        def acquire(self, holder, *, now, ttl):  # type: ignore[no-untyped-def]
            meet.wait(30)
            return super().acquire(holder, now=now, ttl=ttl)

    def rescue(_number: int) -> bool:
        alone = Stored(stored.tasks, stored.batches, Meeting(), stored.cut_off, stored.clock)
        alone.rescue(queue)()
        return True

    assert in_parallel(2, rescue) == 2
    assert {task.id for task in queue.published} == {task.id for task in waiting}
    assert len(queue.published) <= 2 * len(waiting)
    assert {stored.tasks.get(task.id).status for task in late} == {TaskStatus.FAILED}
    assert stored.rescue(queue)().published == 0


def test_rescue_continues_after_the_lock_of_a_dead_one_expires(stored: Stored) -> None:
    tasks = [stored.task() for _ in range(5)]
    stored.clock.advance(60)

    class DyingError(BaseException):
        """Ends the rescue of this test as the end of the process would: without cleanup."""

    class Dying(InMemoryTaskQueue):
        def publish(self, *tasks: Task) -> None:
            if len(self.published) == 2:
                raise DyingError
            super().publish(*tasks)

    class NeverReleased:
        acquire, renew = stored.lock.acquire, stored.lock.renew

        def release(self, held: object) -> None:
            """A killed process does not release the lock."""

    queue = Dying()
    dying = Stored(stored.tasks, stored.batches, NeverReleased(), stored.cut_off, stored.clock)
    with pytest.raises(DyingError):
        dying.rescue(queue)()
    successor = InMemoryTaskQueue()
    with pytest.raises(RescueRunningError):
        stored.rescue(successor)()
    stored.clock.advance(60)
    assert stored.rescue(successor)().published == 3
    assert {task.id for task in (*queue.published, *successor.published)} == {task.id for task in tasks}

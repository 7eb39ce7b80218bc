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

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.domain.errors import DependencyUnavailableError
from common.domain.task import Task, TaskStatus
from common.ports import TaskStore
from frontend_api.adapters.firestore.rescue_lock import FirestoreRescueLock
from frontend_api.rescue.policy import RescuePolicy
from frontend_api.rescue.ports import RescueLock
from frontend_api.rescue.rescue import RescueRunningError, RescueStaleTasks
from frontend_api.tasks.final_events import PublishFinalEvent
from local_stack.free_ports import free_port
from tests.emulators import Emulators
from tests.factories import submitted_task
from tests.fakes.fake_clock import FakeClock
from tests.fakes.in_memory_rescue_lock import InMemoryRescueLock
from tests.fakes.in_memory_task_queue import InMemoryTaskQueue
from tests.fakes.in_memory_task_store import InMemoryTaskStore
from tests.fakes.recording_publishers import RecordingEventPublisher

TTL = timedelta(seconds=60)


@dataclass
class Stored:
    """A store of tasks and the rescue lock, shared by several callers. `cut_off` is unreachable."""

    tasks: TaskStore
    turns: RescueLock
    cut_off: RescueLock
    clock: FakeClock = field(default_factory=FakeClock)

    def rescue(self, queue: InMemoryTaskQueue, **policy: int) -> RescueStaleTasks:
        return RescueStaleTasks(
            store=self.tasks,
            queue=queue,
            publish_final_event=PublishFinalEvent(store=self.tasks, events=RecordingEventPublisher()),
            turns=self.turns,
            clock=self.clock,
            policy=RescuePolicy(**{"page_size": 3, **policy}),  # type: ignore[arg-type]
        )

    def task(self, **changes: object) -> Task:
        fields = {"task_id": uuid.uuid4().hex, "now": self.clock.now(), **changes}
        return self.tasks.create(submitted_task(**fields))


@pytest.fixture(params=["fake", pytest.param("emulator", marks=pytest.mark.emulator)])
def stored(request: pytest.FixtureRequest) -> Stored:
    if request.param == "fake":
        cut_off = InMemoryRescueLock()
        cut_off.unavailable = True
        return Stored(InMemoryTaskStore(), InMemoryRescueLock(), cut_off)
    emulators: Emulators = request.getfixturevalue("emulators")
    project = f"demo-{uuid.uuid4().hex[:12]}"  # a project per test, so that queries find no documents of other tests
    client = firestore_client(project, emulator_host=emulators.firestore_host)
    nowhere = firestore_client(project, emulator_host=f"127.0.0.1:{free_port()}")
    return Stored(
        FirestoreTaskStore(client),
        FirestoreRescueLock(client),
        FirestoreRescueLock(nowhere, timeout_seconds=0.5),
    )


def at_once(times: int, do: Callable[[int], bool]) -> int:
    """Return how many of the threads, which start together, succeed."""
    start = threading.Barrier(times)

    def run(number: int) -> bool:
        start.wait()
        return do(number)

    with ThreadPoolExecutor(times) as pool:
        return sum(pool.map(run, range(times)))


def test_of_many_that_want_the_turn_one_gets_it_first_or_from_the_dead(stored: Stored) -> None:
    def takes(number: int) -> bool:
        return stored.turns.take(f"holder-{number}", now=stored.clock.now(), ttl=TTL) is not None

    assert at_once(8, takes) == 1
    assert at_once(8, takes) == 0
    stored.clock.advance(60)  # the holder has crashed
    assert at_once(8, takes) == 1


def test_a_turn_can_be_renewed_and_given_back_while_it_is_ones_own(stored: Stored) -> None:
    turns, clock = stored.turns, stored.clock
    first = turns.take("first", now=clock.now(), ttl=TTL)
    assert first is not None
    clock.advance(59)
    renewed = turns.renew(first, now=clock.now(), ttl=TTL)
    assert renewed is not None
    assert renewed.expires_at == clock.now() + TTL
    clock.advance(59)
    assert turns.take("second", now=clock.now(), ttl=TTL) is None
    turns.give_back(renewed)
    second = turns.take("second", now=clock.now(), ttl=TTL)
    assert second is not None
    assert second.holder == "second"
    assert turns.renew(renewed, now=clock.now(), ttl=TTL) is None
    turns.give_back(renewed)
    assert turns.take("third", now=clock.now(), ttl=TTL) is None


def test_turns_that_cannot_be_reached_say_so(stored: Stored) -> None:
    turn = stored.turns.take("holder", now=stored.clock.now(), ttl=TTL)
    assert turn is not None
    with pytest.raises(DependencyUnavailableError):
        stored.cut_off.take("holder", now=stored.clock.now(), ttl=TTL)
    with pytest.raises(DependencyUnavailableError):
        stored.cut_off.renew(turn, now=stored.clock.now(), ttl=TTL)
    with pytest.raises(DependencyUnavailableError):
        stored.cut_off.give_back(turn)


def test_each_kind_of_neglect_gets_its_verdict_once(stored: Stored) -> None:
    tasks, clock = stored.tasks, stored.clock
    ended = stored.task()
    ended = tasks.update(ended.id, lambda task: task.cancelled(clock.now()))
    never = stored.task()
    lost = stored.task()
    tasks.update(lost.id, lambda task: task.enqueued(clock.now()))
    dead = stored.task()
    tasks.update(dead.id, lambda task: task.enqueued(clock.now()).claimed_by("w", clock.now(), TTL))
    used_up = stored.task(attempts=1)
    tasks.update(used_up.id, lambda task: task.claimed_by("w", clock.now(), TTL))
    overdue = stored.task(start_within=timedelta(seconds=10))
    clock.advance(3_700)
    living = stored.task()
    living = tasks.update(living.id, lambda task: task.claimed_by("w", clock.now(), TTL))

    queue = InMemoryTaskQueue()
    rescued = stored.rescue(queue)()
    assert (rescued.published, rescued.abandoned) == (3, 2)
    assert {task.id for task in queue.published} == {never.id, lost.id, dead.id}
    for task, code in ((used_up, "attempts_exhausted"), (overdue, "deadline_exceeded")):
        given_up = tasks.get(task.id)
        assert given_up.failure is not None
        assert (given_up.status, given_up.failure.code) == (TaskStatus.FAILED, code)
    assert (tasks.get(ended.id), tasks.get(living.id)) == (ended, living)
    again = stored.rescue(queue)()
    assert (again.published, again.abandoned) == (0, 0)


def test_of_two_rescues_at_once_one_works_and_the_other_is_refused(stored: Stored) -> None:
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


def test_two_rescues_that_do_run_at_once_end_every_task_the_same(stored: Stored) -> None:
    """A paused holder continues after another one has taken the lock: both process the same tasks."""
    waiting = [stored.task() for _ in range(4)]
    late = [stored.task(start_within=timedelta(seconds=10)) for _ in range(4)]
    stored.clock.advance(60)
    queue = InMemoryTaskQueue()
    meet = threading.Barrier(2)

    class Meeting(InMemoryRescueLock):
        def take(self, holder, *, now, ttl):  # type: ignore[no-untyped-def]
            meet.wait(30)
            return super().take(holder, now=now, ttl=ttl)

    def rescue(_number: int) -> bool:
        alone = Stored(stored.tasks, Meeting(), stored.cut_off, stored.clock)
        alone.rescue(queue)()
        return True

    assert at_once(2, rescue) == 2
    assert {task.id for task in queue.published} == {task.id for task in waiting}
    assert len(queue.published) <= 2 * len(waiting)
    assert {stored.tasks.get(task.id).status for task in late} == {TaskStatus.FAILED}
    assert stored.rescue(queue)().published == 0


def test_a_rescue_whose_holder_died_is_taken_up_when_its_turn_has_expired(stored: Stored) -> None:
    tasks = [stored.task() for _ in range(5)]
    stored.clock.advance(60)

    class DyingError(BaseException):
        """Ends the rescue of this test as the end of the process would: without cleanup."""

    class Dying(InMemoryTaskQueue):
        def publish(self, *tasks: Task) -> None:
            if len(self.published) == 2:
                raise DyingError
            super().publish(*tasks)

    class NeverGivenBack:
        take, renew = stored.turns.take, stored.turns.renew

        def give_back(self, turn: object) -> None:
            """A killed process does not release the lock."""

    queue = Dying()
    dying = Stored(stored.tasks, NeverGivenBack(), stored.cut_off, stored.clock)
    with pytest.raises(DyingError):
        dying.rescue(queue)()
    heir = InMemoryTaskQueue()
    with pytest.raises(RescueRunningError):
        stored.rescue(heir)()
    stored.clock.advance(60)
    assert stored.rescue(heir)().published == 3
    assert {task.id for task in (*queue.published, *heir.published)} == {task.id for task in tasks}

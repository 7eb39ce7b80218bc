"""Rescue over any mixture of tasks: what it must do, what it must not do, and that it is idempotent."""

from collections.abc import Callable
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from common.domain.errors import DomainError
from common.domain.task import Failure, Task
from common.wire_formats.task_event import ending_of
from frontend_api.rescue.policy import RescuePolicy, Verdict
from frontend_api.rescue.rescue import RescueStaleTasks
from frontend_api.tasks.final_events import PublishFinalEvent
from tests.factories import NOW, submitted_task
from tests.fakes.fake_clock import FakeClock
from tests.fakes.immediate_publisher import immediate_publisher
from tests.fakes.in_memory_input_store import no_inputs
from tests.fakes.in_memory_rescue_lock import InMemoryRescueLock
from tests.fakes.in_memory_task_batches import InMemoryTaskBatches
from tests.fakes.in_memory_task_queue import InMemoryTaskQueue
from tests.fakes.in_memory_task_store import InMemoryTaskStore
from tests.fakes.recording_publishers import RecordingEventPublisher

TTL = timedelta(seconds=60)
BROKEN = Failure(code="engine_crashed", message="the engine process died", retryable=True)
POLICY = RescuePolicy(page_size=2, max_pages=100)
Step = Callable[[Task, FakeClock], Task]


def _with_claim(task: Task, change: Callable[..., Task], clock: FakeClock) -> Task:
    return task if task.claim is None else change(task, task.claim, clock.now())


STEPS: dict[str, Step] = {
    "enqueued": lambda task, clock: task.enqueued(clock.now()),
    "claimed": lambda task, clock: task.claimed_by("worker", clock.now(), TTL),
    "released": lambda task, clock: _with_claim(task, lambda t, c, now: t.released(c, BROKEN, now), clock),
    "handed back": lambda task, clock: _with_claim(task, lambda t, c, now: t.handed_back(c, now), clock),
    "failed": lambda task, clock: _with_claim(task, lambda t, c, now: t.failed(c, BROKEN, now), clock),
    "completed": lambda task, clock: _with_claim(task, lambda t, c, now: t.completed(c, (), now), clock),
    "cancelled": lambda task, clock: task.cancelled(clock.now()),
    "cancel requested": lambda task, clock: task.cancel_requested(clock.now()),
    "resubmitted": lambda task, clock: task.resubmitted(clock.now()),
}
PAUSES = st.sampled_from([0, 1, 29, 31, 61, 125, 3_601, 15 * 86_400])
STORIES = st.lists(st.tuples(PAUSES, st.sampled_from(sorted(STEPS))), max_size=6)
DEADLINES = st.sampled_from([None, timedelta(seconds=10), timedelta(days=1)])


def lived(
    store: InMemoryTaskStore, task_id: str, deadline: timedelta | None, story: list[tuple[int, str]]
) -> FakeClock:
    """Store a task and apply the steps to it; steps that its status forbids are skipped."""
    clock = FakeClock(NOW)
    store.create(submitted_task(task_id=task_id, attempts=2, start_within=deadline))
    for pause, step in story:
        clock.advance(pause)
        try:
            store.update(task_id, lambda task, step=step: STEPS[step](task, clock))  # type: ignore[misc]
        except DomainError:
            continue
    return clock


@given(st.lists(st.tuples(DEADLINES, STORIES), max_size=8), PAUSES)
def test_rescue_handles_every_stale_task_and_a_second_run_finds_none(
    lives: list[tuple[timedelta | None, list[tuple[int, str]]]], pause: int
) -> None:
    store, queue = InMemoryTaskStore(), InMemoryTaskQueue()
    ends = [lived(store, f"task-{number}", *life).now() for number, life in enumerate(lives)]
    clock = FakeClock(max(ends, default=NOW) + timedelta(seconds=pause))
    before = {task.id: task for task in store.all_tasks}
    events = RecordingEventPublisher()
    rescue = RescueStaleTasks(
        store=store,
        publisher=immediate_publisher(queue, InMemoryTaskBatches(store), clock),
        inputs=no_inputs(clock),
        publish_final_event=PublishFinalEvent(store=store, events=events),
        lock=InMemoryRescueLock(),
        clock=clock,
        policy=POLICY,
    )
    first = rescue()
    abandoned = [task for task in store.all_tasks if task.status is not before[task.id].status]
    assert sorted(event.id for event in events.events) == sorted(ending_of(task).id for task in abandoned)

    for task in store.all_tasks:
        was = before[task.id]
        published = [each for each in queue.published if each.id == task.id]
        assert len(published) <= 1
        if was.status.is_terminal:
            assert (task, published) == (was, [])
        waits = not task.status.is_terminal and (task.claim is None or task.claim.expires_at < clock.now())
        if waits and not published:
            # A worker or Pub/Sub may still be responsible for it, for a limited time.
            claim_ended = None if was.claim is None else was.claim.expires_at
            signs = (was.queued_at, was.enqueued_at, claim_ended)
            last_seen = max(moment for moment in signs if moment is not None)
            assert clock.now() - last_seen <= POLICY.deliver_within
    assert first.published == len(queue.published)

    again = rescue()
    assert (again.published, again.abandoned) == (0, 0)
    assert (
        sum(first.by_verdict[v] for v in Verdict if v is not Verdict.NO_ACTION)
        == first.published + first.abandoned
    )

"""The course of a task is published to its subscribers and never delays the task."""

from collections.abc import Callable
from datetime import timedelta

from common.domain.task import Task, TaskStatus
from gpu_subscriber.attempt.progress_events import ProgressEvents
from gpu_subscriber.ports import Settlement
from tests.factories import NOW, submitted_task
from tests.fakes.fake_clock import FakeClock
from tests.fakes.recording_publishers import RecordingEventPublisher
from tests.fakes.worker_bench import WorkerBench, delivery_of

URL = "https://example.com/hook"
EVERYTHING = ("started", "progress", "finished")
Job = Callable[[], None]


def claimed(task_id: str = "task-1", *, events: tuple[str, ...] = EVERYTHING, url: str | None = URL) -> Task:
    task = submitted_task(task_id=task_id, callback_url=url, callback_events=events)
    return task.claimed_by("worker-1", NOW, timedelta(seconds=60))


class RecordedProgress:
    """ProgressEvents, their publisher, and the pending events when `at_once` is not set."""

    def __init__(self, *, at_once: bool = True) -> None:
        self.clock = FakeClock()
        self.events = RecordingEventPublisher()
        self.waiting: list[Job] = []
        run: Callable[[Job], object] = (lambda job: job()) if at_once else self.waiting.append
        self.progress = ProgressEvents(self.events, clock=self.clock, progress_seconds=5.0, run=run)

    @property
    def published(self) -> list[tuple[str, str]]:
        return [(event.task_id, event.type) for event in self.events.events]


def test_only_requested_events_are_published() -> None:
    recording = RecordedProgress()
    tasks = (claimed("a"), claimed("b", events=("started",)), claimed("c", events=("progress",)))
    for task in (*tasks, claimed("d", events=("finished",)), claimed("e", url=None)):
        recording.progress.started(task)
        recording.progress.progressed(task)
    assert recording.published == [
        ("a", "task.started"),
        ("a", "task.progress"),
        ("b", "task.started"),
        ("c", "task.progress"),
    ]


def test_progress_events_are_rate_limited_per_task() -> None:
    recording = RecordedProgress()
    for _ in range(11):
        recording.progress.progressed(claimed("a"))
        recording.progress.progressed(claimed("b"))
        recording.clock.advance(1)
    assert recording.published == [("a", "task.progress"), ("b", "task.progress")] * 3


def test_unpublishable_event_is_dropped() -> None:
    recording = RecordedProgress()
    recording.events.failures_left = 1
    recording.progress.started(claimed("a"))
    recording.progress.started(claimed("b"))
    assert recording.published == [("b", "task.started")]


def test_at_most_a_hundred_events_wait() -> None:
    recording = RecordedProgress(at_once=False)
    for number in range(150):
        recording.progress.started(claimed(f"task-{number}"))
    assert len(recording.waiting) == 100
    for job in recording.waiting:
        job()
    recording.progress.started(claimed("later"))
    assert len(recording.waiting) == 101


def test_worker_publishes_the_start_before_the_final_event() -> None:
    bench = WorkerBench()
    task = bench.submit(callback_url=URL, callback_events=("started", "finished"))
    assert bench.worker()(delivery_of(task)) is Settlement.ACKNOWLEDGE
    assert [event.type for event in bench.events.events] == ["task.started", "task.completed"]


def test_unpublishable_start_does_not_stop_the_attempt() -> None:
    bench = WorkerBench()
    bench.events.failures_left = 1
    task = bench.submit(callback_url=URL, callback_events=("started", "finished"))
    assert bench.worker()(delivery_of(task)) is Settlement.ACKNOWLEDGE
    assert bench.store.get(task.id).status is TaskStatus.COMPLETED
    assert [event.type for event in bench.events.events] == ["task.completed"]


def test_production_publishes_events_on_a_separate_thread() -> None:
    events = RecordingEventPublisher()
    course = ProgressEvents(events, clock=FakeClock(), progress_seconds=5.0)
    course.started(claimed())
    assert events.published.wait(60)
    assert [event.type for event in events.events] == ["task.started"]

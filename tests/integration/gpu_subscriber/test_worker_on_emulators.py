"""The whole parent process on Google's emulators, with an engine process that generates nothing."""

import hashlib
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.adapters.system_clock import SystemClock
from common.domain.task import Phase, Task, TaskStatus
from common.wire_formats.task_event import decode_task_event
from common.wire_formats.task_message import encode_task_message, task_message_attributes
from frontend_api.adapters.firestore.task_changes import FirestoreTaskChanges
from frontend_api.streams.ports import TaskSnapshot
from gpu_subscriber.__main__ import build_worker
from gpu_subscriber.engine_host.process import EngineProcess
from gpu_subscriber.images.encoding import read_record
from gpu_subscriber.settings import WorkerSettings
from gpu_subscriber.worker.worker import EXIT_DRAINED
from tests.emulators import Emulators
from tests.factories import parameters, submitted_task
from tests.fakes.fake_engine_process import FAKE_ENGINE, FakeEngineSettings
from tests.fakes.own_resources import OwnResources

pytestmark = pytest.mark.emulator
PATIENCE_SECONDS = 100.0


class System:
    """A project on the emulators and its workers."""

    def __init__(self, emulators: Emulators) -> None:
        self.own = OwnResources(emulators)
        self._firestore = firestore_client(self.own.names.project_id, emulator_host=emulators.firestore_host)
        self.store = FirestoreTaskStore(self._firestore, timeout_seconds=PATIENCE_SECONDS)
        self._changes = FirestoreTaskChanges(self._firestore)
        self._pool = ThreadPoolExecutor()
        self._leave: list[Callable[[], object]] = []

    def start_worker(self, **changes: float) -> Callable[[], int]:
        """Start a worker. Call the result to drain it and get its exit code."""
        names = self.own.names
        settings = WorkerSettings(
            project_id=names.project_id,
            subscription=names.tasks_subscription("demo"),
            images_bucket=names.images_bucket,
            pubsub_emulator_host=self.own.emulators.pubsub_host,
            firestore_emulator_host=self.own.emulators.firestore_host,
        ).model_copy(update=changes)
        worker = build_worker(
            settings,
            lambda: EngineProcess.spawned(FAKE_ENGINE, FakeEngineSettings()),
            worker_id=f"worker-{uuid.uuid4().hex[:6]}",
        )
        running = self._pool.submit(worker.run)

        def drain() -> int:
            worker.request_drain()
            return running.result(PATIENCE_SECONDS)

        self._leave.append(drain)
        return drain

    def submit(self, prompt: str, **changes: object) -> Task:
        """Submit as the API does: the document first, then the message."""
        wanted = parameters(prompt=prompt, width=64, height=64, steps=3, **changes)
        now = SystemClock().now()
        task = self.store.create(submitted_task(task_id=uuid.uuid4().hex, parameters=wanted, now=now))
        body = encode_task_message(task, result_bucket=self.own.names.images_bucket)
        self.own.publish(self.own.names.tasks_topic, body, task_message_attributes(task))
        return task

    def wait_for(self, task: Task, is_so: Callable[[Task], bool]) -> Task:
        """Wait with a Firestore listener until the task satisfies the condition."""
        reached: SimpleQueue[Task] = SimpleQueue()

        def look(snapshot: TaskSnapshot) -> None:
            if snapshot.task is not None and is_so(snapshot.task):
                reached.put(snapshot.task)

        stands = self.store.get(task.id)
        if is_so(stands):
            return stands
        unfollow = self._changes.subscribe(stands, look)
        try:
            return reached.get(timeout=PATIENCE_SECONDS)
        finally:
            unfollow()

    def leave(self) -> None:
        for drain in self._leave:
            drain()
        self._pool.shutdown()
        self._firestore.close()


@pytest.fixture
def system(emulators: Emulators) -> Iterator[System]:
    system = System(emulators)
    yield system
    system.leave()


def has_ended(task: Task) -> bool:
    return task.status.is_terminal


def is_drawn(task: Task) -> bool:
    return task.progress.phase is Phase.DENOISING


def test_worker_stores_images_and_publishes_one_event(system: System) -> None:
    system.start_worker()
    task = system.wait_for(system.submit("draw", num_images=2, output_format="webp"), has_ended)

    assert task.status is TaskStatus.COMPLETED
    assert [image.seed for image in task.images] == [12_345, 12_346]
    for image in task.images:
        blob = system.own.bucket.get_blob(image.object_name)
        data = blob.download_as_bytes()
        assert hashlib.sha256(data).hexdigest() == image.sha256
        assert (blob.content_type, blob.cache_control) == (
            "image/webp",
            "private, max-age=3600, immutable",
        )
        assert read_record(data).task_id == task.id
    [event] = system.own.pull(system.own.names.events_subscription)
    assert decode_task_event(event.body).task_id == task.id


def test_worker_processes_tasks_concurrently(system: System) -> None:
    system.start_worker()
    tasks = [system.submit("draw") for _ in range(12)]
    assert {system.wait_for(task, has_ended).status for task in tasks} == {TaskStatus.COMPLETED}
    events = system.own.pull(system.own.names.events_subscription, count=12)
    assert {decode_task_event(event.body).task_id for event in events} == {task.id for task in tasks}


def test_cancellation_stops_the_generation(system: System) -> None:
    system.start_worker(claim_ttl_seconds=5, heartbeat_interval_seconds=0.2)
    task = system.wait_for(system.submit("wait"), is_drawn)
    system.store.update(task.id, lambda t: t.cancel_requested(SystemClock().now()))
    assert system.wait_for(task, has_ended).status is TaskStatus.CANCELLED


def test_drained_worker_hands_its_task_to_the_next(system: System) -> None:
    drain = system.start_worker()
    task = system.wait_for(system.submit("wait"), is_drawn)

    assert drain() == EXIT_DRAINED

    handed_back = system.store.get(task.id)
    assert (handed_back.status, handed_back.attempts_left) == (TaskStatus.QUEUED, task.attempts_left + 1)
    drain = system.start_worker()
    again = system.wait_for(task, is_drawn)
    assert again.attempt == task.attempt + 1
    assert drain() == EXIT_DRAINED


def test_task_that_crashes_the_engine_fails_and_others_complete(system: System) -> None:
    system.start_worker()
    poison, other = system.submit("die"), system.submit("draw")
    ended = system.wait_for(poison, has_ended)
    assert (ended.status, ended.attempt, ended.attempts_left) == (TaskStatus.FAILED, 4, 0)
    assert ended.failure is not None
    assert ended.failure.code == "engine_crashed"
    assert system.wait_for(other, has_ended).attempt == 1


@pytest.mark.parametrize("body", [b"\xff junk", b'{"version": "2.0"}', b"{}" * 2_000_000])
def test_undecodable_message_is_dead_lettered(system: System, body: bytes) -> None:
    system.start_worker()
    system.own.publish(system.own.names.tasks_topic, body, {"model": "demo"})
    [letter] = system.own.pull(system.own.names.dead_letter_subscription)
    assert body.startswith(letter.body)
    assert letter.attributes["dead_letter_reason"]
    assert letter.attributes["dead_letter_body_bytes"] == str(len(body))


def test_duplicate_message_is_generated_once(system: System) -> None:
    system.start_worker()
    task = system.submit("draw")
    body = encode_task_message(task, result_bucket=system.own.names.images_bucket)
    system.own.publish(system.own.names.tasks_topic, body, task_message_attributes(task))
    events = system.own.pull(system.own.names.events_subscription, count=2)
    assert len({event.attributes["event_id"] for event in events}) == 1
    assert system.store.get(task.id).attempt == 1


def test_stream_is_reopened_when_its_subscription_returns(system: System) -> None:
    system.start_worker()
    system.wait_for(system.submit("draw"), has_ended)
    system.own.unsubscribe_from_tasks()
    system.own.subscribe_to_tasks()
    assert system.wait_for(system.submit("draw"), has_ended).status is TaskStatus.COMPLETED

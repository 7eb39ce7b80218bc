"""One delivery, row by row of the settlement table; then crashes between the steps of its end."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from common.domain.task import Claim, Failure, Task, TaskStatus
from common.domain.task_records import TaskWarning
from gpu_subscriber.errors import GenerationFailedError, GenerationInterruptedError
from gpu_subscriber.images.encoding import read_record
from gpu_subscriber.ports import Checkpoint, Delivery, Piece, Settlement
from tests.factories import parameters
from tests.fakes.clock_correcting_store import ClockCorrectingStore
from tests.fakes.fake_clock import FakeClock
from tests.fakes.outage import unavailable
from tests.fakes.scripted_generator import Act, ScriptedGeneration, draw_everything, grey_image
from tests.fakes.worker_bench import CLAIM_TTL, WorkerBench, delivery_of

RETRYABLE = Failure(code="out_of_gpu_memory", message="too big", retryable=True)
PERMANENT = Failure(code="content_filtered", message="refused")


# Settlements of a delivery with the task's status after it.
COMPLETED = (Settlement.ACKNOWLEDGE, TaskStatus.COMPLETED)
FAILED = (Settlement.ACKNOWLEDGE, TaskStatus.FAILED)
CANCELLED = (Settlement.ACKNOWLEDGE, TaskStatus.CANCELLED)
REQUEUED = (Settlement.RETURN, TaskStatus.QUEUED)
HELD = (Settlement.RETURN, TaskStatus.PROCESSING)


def draw_after(event: Callable[[], object]) -> Act:
    def script(generation: ScriptedGeneration) -> Iterator[Piece]:
        event()
        yield grey_image(generation.task, 0)

    return script


def draw_before(event: Callable[[], object]) -> Act:
    def script(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield from draw_everything(generation)
        event()

    return script


def failing(failure: Failure) -> Act:
    def script(generation: ScriptedGeneration) -> Iterator[Piece]:
        generation.spend(0, 2.0)
        yield from ()
        raise GenerationFailedError(failure)

    return script


def images_of(bench: WorkerBench) -> set[str]:
    """Return the names of the stored images, without their thumbnails."""
    return {name for name in bench.writer.objects if ".thumbnail." not in name}


# ── the settlement table ─────────────────────────────────────────────────────────────────────────────────────


def test_generated_task_is_completed_published_and_acknowledged(bench: WorkerBench) -> None:
    task = bench.submit(parameters=parameters(num_images=3))

    assert bench.deliver(task) == COMPLETED

    stored = bench.store.get(task.id)
    assert [(image.index, image.seed) for image in stored.images] == [(0, 12_345), (1, 12_346), (2, 12_347)]
    assert [event.type for event in bench.events.events] == ["task.completed"]
    assert stored.usage.gpu_seconds == 1.5
    for image in stored.images:
        data = bench.writer.objects[image.object_name]
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (image.sha256, image.size_bytes)
        record = read_record(data)
        assert (record.task_id, record.index, record.parameters.seed) == (task.id, image.index, image.seed)
        assert (record.provenance, record.provenance.attempt) == (image.provenance, 1)
        assert task.user_id.encode() not in data, "a file goes from hand to hand"
        assert image.thumbnail is not None
        small = bench.writer.objects[image.thumbnail.object_name]
        assert (hashlib.sha256(small).hexdigest(), len(small)) == (
            image.thumbnail.sha256,
            image.thumbnail.size_bytes,
        )


def test_engine_warnings_are_stored_with_the_task(bench: WorkerBench) -> None:
    exact = TaskWarning(code="prompt_truncated", pointer="/prompt", detail="31 tokens, 30 are read.")

    def warning_first(generation: ScriptedGeneration) -> Iterator[Piece]:
        generation.listener.warned((exact,))
        yield from draw_everything(generation)

    bench.generator.script = warning_first
    task = bench.submit()
    assert bench.deliver(task) == COMPLETED
    assert bench.store.get(task.id).warnings == (exact,)


@pytest.mark.parametrize(("guidance_scale", "stated"), [(1.0, None), (2.5, "a blue square")])
def test_file_states_no_negative_prompt_that_had_no_effect(
    bench: WorkerBench, guidance_scale: float, stated: str | None
) -> None:
    asked = parameters(negative_prompt="a blue square", guidance_scale=guidance_scale)
    task = bench.submit(parameters=asked)
    bench.deliver(task)
    [stored] = bench.store.get(task.id).images
    data = bench.writer.objects[stored.object_name]
    assert read_record(data).parameters.negative_prompt == stated
    assert (b"Negative prompt" in data) is (stated is not None)


def test_permanent_failure_fails_and_acknowledges_the_task(bench: WorkerBench) -> None:
    bench.generator.script = failing(PERMANENT)
    task = bench.submit()
    assert bench.deliver(task) == FAILED
    stored = bench.store.get(task.id)
    assert (stored.failure, stored.usage.wasted_gpu_seconds) == (PERMANENT, 2.0)
    assert [event.type for event in bench.events.events] == ["task.failed"]


def test_retryable_failure_releases_and_returns_the_task(bench: WorkerBench) -> None:
    bench.generator.script = failing(RETRYABLE)
    task = bench.submit()
    assert bench.deliver(task) == REQUEUED
    stored = bench.store.get(task.id)
    assert (stored.claim, stored.failure, stored.attempts_left) == (None, RETRYABLE, task.attempts_left - 1)
    assert bench.events.events == []


def test_retryable_failure_fails_the_task_on_the_last_attempt(bench: WorkerBench) -> None:
    bench.generator.script = failing(RETRYABLE)
    assert bench.deliver(bench.submit(attempts=1)) == FAILED


def test_task_that_crashes_every_worker_fails_with_its_history(bench: WorkerBench) -> None:
    task = bench.submit(attempts=2)
    for _ in range(2):
        bench.claim_by_dead_worker(task)
    assert bench.deliver(task) == FAILED
    failure = bench.store.get(task.id).failure
    assert failure is not None
    assert failure.code == "attempts_exhausted"
    assert len(bench.events.events) == 1


def claimed_by_another(bench: WorkerBench, worker_id: str = "worker-b") -> tuple[Task, Claim]:
    task = bench.claim(bench.submit(), worker_id)
    assert task.claim is not None
    return task, task.claim


def test_delivery_is_returned_while_the_holder_renews(bench: WorkerBench) -> None:
    task, claim = claimed_by_another(bench)

    def renewed() -> None:
        bench.clock.advance(3)
        bench.store.update(task.id, lambda t: t.renewed(claim, bench.clock.now(), CLAIM_TTL))

    bench.while_watching = renewed
    assert bench.worker()(delivery_of(task)) is Settlement.RETURN
    assert bench.generator.generations == []
    assert bench.store.get(task.id).claim == replace(claim, expires_at=bench.clock.now() + CLAIM_TTL)


def test_unrenewed_claim_is_taken_over_before_it_expires(bench: WorkerBench) -> None:
    task, _ = claimed_by_another(bench)
    assert bench.deliver(task) == COMPLETED
    history = bench.store.get(task.id).history
    assert [(attempt.attempt, attempt.ending) for attempt in history] == [
        (1, "holder_silent"),
        (2, "completed"),
    ]


def test_silent_last_attempt_does_not_fail_the_task(bench: WorkerBench) -> None:
    """The worker stalls for longer than a watch lasts, and its task is delivered a second time."""
    task, second_deliveries = bench.submit(attempts=1), []
    bench.generator.script = draw_after(lambda: second_deliveries.append(bench.deliver(task, "worker-b")))
    assert bench.deliver(task, "worker-a") == COMPLETED
    assert second_deliveries == [HELD]


def test_claim_is_watched_once_whatever_number_of_messages_arrive(bench: WorkerBench) -> None:
    """A caller cancelled and retried the task several times, and another worker processes it now."""
    task, claim = claimed_by_another(bench)
    watches: list[int] = []
    settlements: list[Settlement] = []

    def next_message_arrives() -> None:
        watches.append(len(settlements))
        bench.clock.advance(3)
        bench.store.update(task.id, lambda t: t.renewed(claim, bench.clock.now(), CLAIM_TTL))
        if len(watches) < 3:
            settlements.append(worker(delivery_of(task)))

    bench.while_watching = next_message_arrives
    worker = bench.worker()
    settlements.append(worker(delivery_of(task)))
    settlements.append(worker(delivery_of(task)))
    assert settlements == [Settlement.RETURN] * 3
    assert len(watches) == 1


def test_next_claim_of_a_watched_task_is_watched_again(bench: WorkerBench) -> None:
    task, claim = claimed_by_another(bench)

    def continues_elsewhere() -> None:
        bench.store.update(task.id, lambda t: t.handed_back(claim, bench.clock.now()))
        bench.claim(task, "worker-c")

    happenings = iter([continues_elsewhere, lambda: None])

    def something_happens() -> None:
        next(happenings)()

    bench.while_watching = something_happens
    worker = bench.worker()
    assert worker(delivery_of(task)) is Settlement.RETURN
    assert worker(delivery_of(task)) is Settlement.ACKNOWLEDGE
    endings = [attempt.ending for attempt in bench.store.get(task.id).history]
    assert endings == ["handed_back", "holder_silent", "completed"]


def test_claim_released_during_the_watch_is_claimed(bench: WorkerBench) -> None:
    task, claim = claimed_by_another(bench)

    def handed_back() -> None:
        bench.store.update(task.id, lambda t: t.handed_back(claim, bench.clock.now()))

    bench.while_watching = handed_back
    assert bench.deliver(task) == COMPLETED
    endings = [attempt.ending for attempt in bench.store.get(task.id).history]
    assert endings == ["handed_back", "completed"]


def test_draining_worker_does_not_watch_claims(bench: WorkerBench) -> None:
    task, claim = claimed_by_another(bench)
    bench.draining.set()
    assert bench.worker()(delivery_of(task)) is Settlement.RETURN
    assert bench.store.get(task.id).claim == claim


def test_second_delivery_to_the_same_worker_is_returned(bench: WorkerBench) -> None:
    task, claim = claimed_by_another(bench, "worker-a")
    bench.while_watching = lambda: pytest.fail("it watched itself")
    assert bench.worker("worker-a")(delivery_of(task)) is Settlement.RETURN
    assert bench.store.get(task.id).claim == claim


def test_expired_claim_is_taken_over(bench: WorkerBench) -> None:
    task = bench.submit()
    bench.claim_by_dead_worker(task)
    assert bench.deliver(task) == COMPLETED
    assert images_of(bench) == {f"{task.folder}attempt-2/0.png"}


def test_lost_claim_discards_the_work(bench: WorkerBench) -> None:
    task = bench.submit()

    def overtaken() -> None:
        bench.clock.advance(61)
        bench.claim(task, "worker-b")

    bench.generator.script = draw_after(overtaken)
    assert bench.deliver(task) == HELD
    stored = bench.store.get(task.id)
    assert stored.claim is not None
    assert (stored.claim.worker_id, stored.images) == ("worker-b", ())


def test_task_finished_meanwhile_keeps_its_state(bench: WorkerBench) -> None:
    task = bench.submit()
    bench.generator.script = draw_after(
        lambda: bench.store.update(task.id, lambda t: t.abandoned(PERMANENT, bench.clock.now()))
    )
    assert bench.deliver(task) == (Settlement.RETURN, TaskStatus.FAILED)


@pytest.mark.parametrize("ending", [TaskStatus.COMPLETED, TaskStatus.CANCELLED, TaskStatus.FAILED])
def test_terminal_task_is_published_again_and_acknowledged(bench: WorkerBench, ending: TaskStatus) -> None:
    task, now = bench.submit(), bench.clock.now()
    asked = now if ending is TaskStatus.CANCELLED else None
    bench.store.update(
        task.id, lambda t: replace(t, status=ending, finished_at=now, cancel_requested_at=asked)
    )
    assert bench.worker()(delivery_of(task)) is Settlement.ACKNOWLEDGE
    assert [event.type for event in bench.events.events] == [f"task.{ending}"]
    assert bench.generator.generations == []


def calls_for(bench: WorkerBench, *deliveries: Delivery, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Process the deliveries and return the calls that the worker waited for."""
    calls: list[str] = []

    def count(port: object, name: str) -> None:
        call = getattr(port, name)

        def counted(*arguments: Any, **options: Any) -> Any:
            calls.append(name)
            return call(*arguments, **options)

        monkeypatch.setattr(port, name, counted)

    for port, names in {
        bench.store: ("get", "delete", "create"),
        bench.writer: ("write", "remove_attempts"),
        bench.checkpoints: ("load", "save", "discard"),
        bench.events: ("publish", "publish_start", "publish_progress"),
    }.items():
        for name in names:
            count(port, name)
    worker = bench.worker()
    assert [worker(each) for each in deliveries] == [Settlement.ACKNOWLEDGE] * len(deliveries)
    return calls


def test_task_cancelled_in_the_queue_costs_a_worker_one_read(
    bench: WorkerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner may have cancelled and retried it many times; the API publishes the event."""
    task = bench.submit()
    bench.store.update(task.id, lambda t: t.cancelled(bench.clock.now()))
    assert calls_for(bench, delivery_of(task), monkeypatch=monkeypatch) == ["get"]


def test_first_delivery_of_a_deleted_task_costs_a_worker_one_read(
    bench: WorkerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = bench.submit()
    bench.delete(task)
    first = replace(delivery_of(task), delivery_attempt=1)
    assert calls_for(bench, first, first, monkeypatch=monkeypatch) == ["get", "get"]


def test_bucket_is_cleaned_once_for_all_messages_of_a_deleted_task(
    bench: WorkerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, other = bench.submit(), bench.submit(task_id="task-2")
    bench.delete(task)
    bench.delete(other)
    again, of_other = (replace(delivery_of(each), delivery_attempt=2) for each in (task, other))
    calls = calls_for(bench, again, again, of_other, again, monkeypatch=monkeypatch)
    assert calls == ["get", "remove_attempts", "discard", "get", "get", "remove_attempts", "discard", "get"]


def test_bucket_is_cleaned_again_for_a_deleted_task_with_frequent_messages(
    bench: WorkerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = bench.submit()
    bench.delete(task)
    again = replace(delivery_of(task), delivery_attempt=2)
    worker, cleaned = bench.worker(), []
    monkeypatch.setattr(bench.writer, "remove_attempts", lambda *_, **__: cleaned.append(bench.clock.now()))
    began = bench.clock.now()
    for _ in range(4):
        worker(again)
        bench.clock.advance(3)
    assert cleaned == [began, began + timedelta(seconds=6)]


@pytest.mark.parametrize("part", ["writer.remove_attempts", "checkpoints.discard"])
def test_bucket_is_cleaned_again_after_an_outage_at_once(
    bench: WorkerBench, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    task = bench.submit()
    bench.delete(task)
    bench.writer.objects[f"{task.folder}attempt-1/0.png"] = b"an image"
    bench.checkpoints.save(task.folder, Checkpoint(index=0, step=7, state=b"latents"))
    worker = bench.worker()
    with monkeypatch.context() as bucket:
        owner, method = part.split(".")
        bucket.setattr(getattr(bench, owner), method, unavailable("storage"))
        assert worker(delivery_of(task)) is Settlement.RETURN
    assert worker(delivery_of(task)) is Settlement.ACKNOWLEDGE
    assert not bench.writer.objects
    assert bench.checkpoints.load(task.folder) == {}


def test_delivery_is_returned_when_the_store_is_unavailable(bench: WorkerBench) -> None:
    task = bench.submit()
    bench.store.unavailable = True
    assert bench.worker()(delivery_of(task)) is Settlement.RETURN


def test_attempt_is_used_when_the_bucket_stays_unavailable(bench: WorkerBench) -> None:
    bench.writer.failures_left = 1_000
    task = bench.submit()
    assert bench.deliver(task) == REQUEUED
    failure = bench.store.get(task.id).failure
    assert failure is not None
    assert failure.code == "dependency_unavailable"


def test_upload_is_retried_until_the_bucket_recovers(bench: WorkerBench) -> None:
    bench.patience_seconds = 30.0
    bench.writer.failures_left = 3
    task = bench.submit()
    assert bench.worker()(delivery_of(task)) is Settlement.ACKNOWLEDGE
    assert bench.store.get(task.id).attempt == 1


def test_draining_worker_hands_back_what_it_cannot_store(bench: WorkerBench) -> None:
    bench.patience_seconds = 30.0  # a second try would succeed
    bench.writer.failures_left = 1
    bench.draining.set()
    task = bench.submit(attempts=1)
    assert bench.deliver(task) == REQUEUED
    stored = bench.store.get(task.id)
    assert (stored.attempts_left, stored.usage.total_seconds) == (1, 0.5)


def test_unpublished_event_is_published_by_the_next_delivery(bench: WorkerBench) -> None:
    bench.events.failures_left = 1
    task = bench.submit()
    assert bench.deliver(task) == (Settlement.RETURN, TaskStatus.COMPLETED)
    assert bench.deliver(task) == COMPLETED
    assert len(bench.events.events) == 1


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\xfe", "body is not JSON"),
        (b"[]", "body is not a JSON object"),
        (b'{"version": "2.0"}', "version '2.0' is not 1.x"),
        (b'{"version": "1.0"}', "task_id: missing"),
        (b"x" * 10_000_000, "more than"),
    ],
)
def test_undecodable_body_is_dead_lettered(bench: WorkerBench, body: bytes, reason: str) -> None:
    assert bench.worker()(Delivery(message_id="m", body=body)) is Settlement.ACKNOWLEDGE
    [(delivery, stored_reason)] = bench.dead_letters.published
    assert delivery.body == body
    assert reason in stored_reason


def test_undecodable_delivery_is_returned_until_dead_lettered(bench: WorkerBench) -> None:
    bench.dead_letters.unavailable = True
    assert bench.worker()(Delivery(message_id="m", body=b"?")) is Settlement.RETURN


def test_task_not_started_by_its_deadline_is_abandoned(bench: WorkerBench) -> None:
    task = bench.submit(start_within=timedelta(seconds=30))
    bench.clock.advance(31)
    assert bench.deliver(task) == FAILED
    failure = bench.store.get(task.id).failure
    assert failure is not None
    assert failure.code == "deadline_exceeded"
    assert len(bench.events.events) == 1


def test_deadline_applies_to_the_first_start_only(bench: WorkerBench) -> None:
    task = bench.submit(start_within=timedelta(seconds=30))
    bench.claim_by_dead_worker(task)
    assert bench.deliver(task) == COMPLETED


# ── tasks that are no longer needed ──────────────────────────────────────────────────────────────────────────


def test_completed_task_leaves_only_its_images(bench: WorkerBench) -> None:
    first = bench.submit(parameters=parameters(num_images=2))

    def half_then_interrupted(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield grey_image(generation.task, 0)
        yield Checkpoint(index=1, step=7, state=b"latents")
        raise GenerationInterruptedError("drain")

    bench.generator.script = half_then_interrupted
    assert bench.deliver(first) == REQUEUED
    assert images_of(bench) == {f"{first.folder}attempt-1/0.png"}

    bench.generator.script = draw_everything
    assert bench.deliver(first, "worker-b") == COMPLETED
    assert images_of(bench) == {image.object_name for image in bench.store.get(first.id).images}
    assert len(images_of(bench)) == 2
    assert bench.checkpoints.load(first.folder) == {}


def test_images_of_a_deleted_task_are_removed(bench: WorkerBench) -> None:
    task = bench.submit()

    def deleted(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield Checkpoint(index=0, step=7, state=b"latents")
        bench.delete(task)
        yield grey_image(generation.task, 0)

    bench.generator.script = deleted
    assert bench.worker()(delivery_of(task)) is Settlement.ACKNOWLEDGE
    assert bench.writer.objects == {}
    assert bench.checkpoints.load(task.folder) == {}


def test_redelivery_removes_what_a_dead_worker_stored_for_a_deleted_task(bench: WorkerBench) -> None:
    """The worker stored an image after the deletion, and died before it found no document."""
    task, other = bench.submit(), bench.submit(task_id="task-2")
    bench.delete(task)
    kept = f"{other.folder}attempt-1/0.png"
    for name in (f"{task.folder}attempt-1/0.png", f"{task.folder}attempt-12/3.png", kept):
        bench.writer.objects[name] = b"an image"
    bench.checkpoints.save(task.folder, Checkpoint(index=0, step=7, state=b"latents"))
    assert bench.worker()(delivery_of(task)) is Settlement.ACKNOWLEDGE
    assert set(bench.writer.objects) == {kept}
    assert bench.checkpoints.load(task.folder) == {}


def test_deleted_tasks_attempt_does_not_end_a_new_task(bench: WorkerBench) -> None:
    """The same Idempotency-Key leads to the same id, and the new task's attempts start at one."""
    task = bench.submit(parameters=parameters(num_images=2))

    def replaced(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield grey_image(generation.task, 0)
        bench.delete(task)
        bench.writer.objects.clear()
        bench.clock.advance(1)
        bench.submit(parameters=parameters(prompt="a small blue square", num_images=2))
        bench.claim(task, "worker-a")
        yield grey_image(generation.task, 1)

    bench.generator.script = replaced
    assert bench.deliver(task, "worker-a") == HELD
    assert bench.events.events == []


def test_leftovers_of_a_deleted_task_do_not_conflict(bench: WorkerBench) -> None:
    """The deletion in the bucket failed; the new task stores its images beside the old objects."""
    predecessor = bench.submit()

    def deleted(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield Checkpoint(index=0, step=7, state=b"latents of another prompt")
        yield grey_image(generation.task, 0)
        bench.delete(predecessor)
        bench.writer.failures_left = 1

    bench.generator.script = deleted
    assert bench.worker()(delivery_of(predecessor)) is Settlement.RETURN
    left_behind = images_of(bench)
    assert left_behind == {f"{predecessor.folder}attempt-1/0.png"}

    bench.generator.script = draw_everything
    bench.clock.advance(1)
    task = bench.submit(parameters=parameters(prompt="a small blue square"))
    assert task.id == predecessor.id
    assert bench.deliver(task) == COMPLETED
    assert images_of(bench) - left_behind == {f"{task.folder}attempt-1/0.png"}


def make_bucket_unavailable(bench: WorkerBench) -> None:
    bench.writer.failures_left = 1_000


def test_failed_removal_does_not_affect_the_task(bench: WorkerBench) -> None:
    task = bench.submit()
    bench.claim_by_dead_worker(task)
    bench.generator.script = draw_before(lambda: make_bucket_unavailable(bench))
    assert bench.deliver(task) == COMPLETED


def test_successful_first_attempt_makes_no_removal_call(bench: WorkerBench) -> None:
    bench.generator.script = draw_before(lambda: make_bucket_unavailable(bench))
    assert bench.deliver(bench.submit()) == COMPLETED
    assert bench.writer.failures_left == 1_000


# ── cancellation and shutdown ────────────────────────────────────────────────────────────────────────────────


def test_cancelled_generation_stops_after_a_heartbeat(bench: WorkerBench) -> None:
    task = bench.submit()
    steps_after: list[int] = []

    def cancelled(generation: ScriptedGeneration) -> Iterator[Piece]:
        bench.request_cancel(task)
        bench.clock.advance(11)
        bench.heartbeat.beat()
        yield from draw_everything(generation)
        steps_after.append(1)

    bench.generator.script = cancelled
    assert bench.deliver(task) == CANCELLED
    assert [event.type for event in bench.events.events] == ["task.cancelled"]
    assert steps_after == []
    assert bench.generator.generations[0].closed


@pytest.mark.parametrize("attempts", [2, 1])
def test_next_worker_cancels_a_task_with_a_cancel_request(bench: WorkerBench, attempts: int) -> None:
    """Also when no attempt is left."""
    task = bench.submit(attempts=attempts)
    bench.claim(task, "dead")
    bench.request_cancel(task)
    bench.clock.advance(61)
    assert bench.deliver(task) == CANCELLED
    assert [event.type for event in bench.events.events] == ["task.cancelled"]
    assert bench.generator.generations == []


def test_cancel_request_after_the_last_image_has_no_effect(bench: WorkerBench) -> None:
    task = bench.submit()
    bench.generator.script = draw_before(lambda: bench.request_cancel(task))
    assert bench.deliver(task) == COMPLETED


def interrupted_with_checkpoint(generation: ScriptedGeneration) -> Iterator[Piece]:
    generation.spend(0, 1.0)
    yield Checkpoint(index=0, step=7, state=b"latents")
    raise GenerationInterruptedError("drain")


def test_interrupted_task_is_handed_back_with_its_checkpoint(bench: WorkerBench) -> None:
    bench.generator.script = interrupted_with_checkpoint
    task = bench.submit()
    assert bench.deliver(task) == REQUEUED
    stored = bench.store.get(task.id)
    assert stored.attempts_left == task.attempts_left
    assert stored.usage.wasted_gpu_seconds == 0.0  # the checkpoint may keep the work so far

    bench.generator.script = draw_everything
    assert bench.deliver(task, "worker-b") == COMPLETED
    assert bench.generator.generations[1].checkpoints[0].step == 7
    assert bench.checkpoints.load(task.folder) == {}  # it is no longer needed
    usage = bench.store.get(task.id).usage
    assert (usage.gpu_seconds, usage.wasted_gpu_seconds) == (1.5, 0.0)


def test_checkpoint_of_a_lost_attempt_is_not_reused(bench: WorkerBench) -> None:
    task, worker = bench.submit(), bench.worker()

    def kept_then_overtaken(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield Checkpoint(index=0, step=7, state=b"latents")
        bench.clock.advance(61)
        bench.claim(task, "dead")

    bench.generator.script = kept_then_overtaken
    assert worker(delivery_of(task)) is Settlement.RETURN
    bench.clock.advance(61)

    def interrupted(generation: ScriptedGeneration) -> Iterator[Piece]:
        generation.spend(0, 2.0)
        yield from ()
        raise GenerationInterruptedError("requested")

    bench.checkpoints.discard(task.folder)
    bench.generator.script = interrupted
    assert worker(delivery_of(task)) is Settlement.RETURN
    bench.generator.script = draw_everything
    assert worker(delivery_of(task)) is Settlement.ACKNOWLEDGE
    usage = bench.store.get(task.id).usage
    assert (usage.wasted_gpu_seconds, usage.gpu_seconds) == (2.0, 0.5)


def test_first_attempt_loads_no_checkpoint(bench: WorkerBench) -> None:
    bench.worker()(delivery_of(bench.submit()))
    assert bench.checkpoints.calls == 0


def test_checkpoint_errors_do_not_stop_the_attempt(bench: WorkerBench) -> None:
    bench.checkpoints.unavailable = True
    bench.generator.script = interrupted_with_checkpoint
    task = bench.submit()
    assert bench.deliver(task) == REQUEUED
    bench.generator.script = draw_everything
    assert bench.deliver(task) == COMPLETED


def test_attempt_after_an_engine_crash_starts_over(bench: WorkerBench) -> None:
    def crashing(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield Checkpoint(index=0, step=7, state=b"poison")
        raise GenerationFailedError(Failure(code="engine_crashed", message="gone", retryable=True))

    bench.generator.script = crashing
    task = bench.submit()
    assert bench.worker()(delivery_of(task)) is Settlement.RETURN
    assert bench.checkpoints.load(task.folder) == {}


# ── a crash between any two steps ────────────────────────────────────────────────────────────────────────────


class KilledError(BaseException):
    """The process has exited: no handler may catch this."""


def killed_before(action: object) -> Callable[..., object]:
    def dying(*_: object, **__: object) -> object:
        raise KilledError

    return dying


def killed_after(action: Callable[..., object]) -> Callable[..., object]:
    def dying(*args: object, **kwargs: object) -> object:
        action(*args, **kwargs)
        raise KilledError

    return dying


@pytest.mark.parametrize(("victim", "method"), [("writer", "write"), ("events", "publish")])
@pytest.mark.parametrize("when", [killed_before, killed_after])
def test_crash_at_the_end_is_completed_by_the_next_delivery(
    bench: WorkerBench,
    monkeypatch: pytest.MonkeyPatch,
    victim: str,
    method: str,
    when: Callable[[object], Callable[..., object]],
) -> None:
    task = bench.submit()
    with monkeypatch.context() as patch:
        part = getattr(bench, victim)
        patch.setattr(part, method, when(getattr(part, method)))
        with pytest.raises(KilledError):
            bench.worker()(delivery_of(task))
    bench.clock.advance(61)  # the dead worker's claim is not renewed

    assert bench.deliver(task, "worker-b") == COMPLETED

    assert {event.id for event in bench.events.events} == {bench.events.events[0].id}
    for image in bench.store.get(task.id).images:
        assert hashlib.sha256(bench.writer.objects[image.object_name]).hexdigest() == image.sha256


def test_crash_before_publishing_repeats_the_same_event(bench: WorkerBench) -> None:
    task = bench.submit()
    bench.worker()(delivery_of(task))
    bench.worker("worker-b")(delivery_of(task))  # the acknowledgement was lost
    first, second = bench.events.events
    assert first == second
    assert len(bench.generator.generations) == 1


def test_concurrent_workers_generate_once(bench: WorkerBench) -> None:
    task, second_deliveries = bench.submit(), []

    def alive() -> None:
        bench.clock.advance(5)
        bench.heartbeat.beat()

    bench.generator.script = draw_after(lambda: second_deliveries.append(bench.deliver(task, "worker-b")))
    bench.while_watching = alive
    assert bench.deliver(task) == COMPLETED
    assert second_deliveries == [HELD]
    assert bench.store.get(task.id).attempt == 1


def test_delivery_is_returned_when_the_final_write_fails(bench: WorkerBench) -> None:
    task = bench.submit()

    def make_store_unavailable() -> None:
        bench.store.unavailable = True

    bench.generator.script = draw_before(make_store_unavailable)
    assert bench.worker()(delivery_of(task)) is Settlement.RETURN
    bench.store.unavailable = False
    assert bench.store.get(task.id).status is TaskStatus.PROCESSING


def test_attempt_logs_one_line_with_ids_and_no_prompt(bench: WorkerBench) -> None:
    task = bench.submit()
    with capture_logs() as lines:
        bench.worker()(delivery_of(task))
    [line] = [line for line in lines if line["event"] == "attempt_finished"]
    assert (line["task_id"], line["attempt"], line["settlement"]) == (task.id, 1, "acknowledge")
    assert task.parameters.prompt not in str(lines)


# ── a worker whose clock is wrong ────────────────────────────────────────────────────────────────────────────


def test_worker_with_a_wrong_clock_does_not_fail_a_task_that_is_held() -> None:
    clock = FakeClock()
    store = ClockCorrectingStore(clock)
    bench = WorkerBench(clock=clock, store=store)
    task = bench.submit(attempts=1)
    bench.claim(task, "holder")
    store.set_clock_ahead(61)
    assert bench.deliver(task) == HELD


def test_worker_with_a_wrong_clock_starts_a_task_before_its_deadline() -> None:
    clock = FakeClock()
    store = ClockCorrectingStore(clock)
    bench = WorkerBench(clock=clock, store=store)
    task = bench.submit(start_within=timedelta(seconds=60))
    store.set_clock_ahead(61)
    assert bench.deliver(task) == COMPLETED

"""Finished images survive failure, cancellation, drain, a lost claim and a dead worker."""

from collections.abc import Iterator

import pytest

from common.domain.task import FailedImage, Failure, Task, TaskStatus
from gpu_subscriber.attempt.outcomes import failed_image
from gpu_subscriber.errors import GenerationFailedError, GenerationInterruptedError
from gpu_subscriber.ports import FailedRun, Piece, Settlement
from tests.factories import parameters
from tests.fakes.scripted_generator import ScriptedGeneration, draw_everything, grey_image
from tests.fakes.worker_bench import WorkerBench, delivery_of
from tests.recorded_telemetry import CountedMetrics, labelled

REFUSED = Failure(code="content_filtered", message="the model's safety checker refused the picture")
OUT_OF_MEMORY = Failure(code="out_of_gpu_memory", message="too big", retryable=True)
CRASHED = Failure(code="engine_crashed", message="the engine process died", retryable=True)


def four_images(bench: WorkerBench, **changes: object) -> Task:
    return bench.submit(parameters=parameters(num_images=4), **changes)


def draw(generation: ScriptedGeneration, *indices: int) -> Iterator[Piece]:
    for index in indices:
        generation.spend(index, 0.5)
        yield grey_image(generation.task, index)


class WorkerKilledError(BaseException):
    """The effect of SIGKILL on all other code."""


def take_over(bench: WorkerBench, task: Task) -> Task:
    """Let a first worker die during its attempt, and a second one complete the task."""
    with pytest.raises(WorkerKilledError):
        bench.worker()(delivery_of(task))
    bench.clock.advance(61)
    bench.generator.script = draw_everything
    assert bench.worker("worker-b")(delivery_of(task)) is Settlement.ACKNOWLEDGE
    return bench.store.get(task.id)


def indices_of(task: Task) -> list[int]:
    return [image.index for image in task.images]


def attempts_of(task: Task) -> list[str]:
    return [image.object_name.removeprefix(task.folder).split("/")[0] for image in task.images]


def test_three_images_are_kept_when_the_fourth_is_filtered(bench: WorkerBench) -> None:
    def script(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield from draw(generation, 0, 1)
        generation.spend(2, 0.5)
        yield FailedRun(index=2, failure=REFUSED)
        yield from draw(generation, 3)

    bench.generator.script = script
    task = four_images(bench)
    assert bench.worker()(delivery_of(task)) is Settlement.ACKNOWLEDGE

    stored = bench.store.get(task.id)
    assert (stored.status, stored.failure, indices_of(stored)) == (TaskStatus.COMPLETED, None, [0, 1, 3])
    assert stored.failed_images == (FailedImage(index=2, code=REFUSED.code, message=REFUSED.message),)
    assert (stored.usage.gpu_seconds, stored.usage.wasted_gpu_seconds) == (1.5, 0.5)
    assert set(bench.writer.objects) == {name for image in stored.images for name in image.object_names}


def test_only_the_image_without_memory_is_generated_again(bench: WorkerBench) -> None:
    def script(generation: ScriptedGeneration) -> Iterator[Piece]:
        generation.spend(1, 0.25)
        yield FailedRun(index=1, failure=OUT_OF_MEMORY)
        yield from draw(generation, 0, 2, 3)

    bench.generator.script = script
    task = four_images(bench)
    assert bench.worker()(delivery_of(task)) is Settlement.RETURN
    released = bench.store.get(task.id)
    assert (released.status, released.failure, indices_of(released)) == (
        TaskStatus.QUEUED,
        OUT_OF_MEMORY,
        [0, 2, 3],
    )

    bench.generator.script = draw_everything
    assert bench.worker("worker-b")(delivery_of(task)) is Settlement.ACKNOWLEDGE
    stored = bench.store.get(task.id)
    assert (stored.status, stored.failed_images) == (TaskStatus.COMPLETED, ())
    assert attempts_of(stored) == ["attempt-1", "attempt-2", "attempt-1", "attempt-1"]
    assert set(bench.writer.objects) == {name for image in stored.images for name in image.object_names}
    assert (stored.usage.gpu_seconds, stored.usage.wasted_gpu_seconds) == (2.0, 0.25)


def test_cancelled_task_keeps_its_finished_images(bench: WorkerBench) -> None:
    task = four_images(bench)

    def script(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield from draw(generation, 0, 1)
        generation.spend(2, 0.25)
        bench.request_cancel(task)
        raise GenerationInterruptedError("cancelled")

    bench.generator.script = script
    assert bench.worker()(delivery_of(task)) is Settlement.ACKNOWLEDGE
    stored = bench.store.get(task.id)
    assert (stored.status, indices_of(stored)) == (TaskStatus.CANCELLED, [0, 1])
    assert (stored.usage.gpu_seconds, stored.usage.wasted_gpu_seconds) == (1.0, 0.25)
    assert set(bench.writer.objects) == {name for image in stored.images for name in image.object_names}

    bench.store.update(task.id, lambda t: t.resubmitted(bench.clock.now()))
    bench.generator.script = draw_everything
    assert bench.worker()(delivery_of(task)) is Settlement.ACKNOWLEDGE
    retried = bench.store.get(task.id)
    assert (retried.status, attempts_of(retried)) == (
        TaskStatus.COMPLETED,
        ["attempt-1", "attempt-1", "attempt-2", "attempt-2"],
    )
    assert retried.images[:2] == stored.images


def test_finished_images_are_stored_while_others_are_generated(bench: WorkerBench) -> None:
    seen: list[Task] = []
    task = four_images(bench)

    def script(generation: ScriptedGeneration) -> Iterator[Piece]:
        for index in range(4):
            yield from draw(generation, index)
            bench.clock.advance(0.4)
            bench.heartbeat.beat()
            seen.append(bench.store.get(task.id))

    bench.generator.script = script
    bench.worker()(delivery_of(task))
    assert {found.status for found in seen} == {TaskStatus.PROCESSING}
    # The last image comes with the end of the attempt, not with a write of its own.
    assert [len(found.images) for found in seen] == [1, 2, 3, 3]
    assert bench.store.get(task.id).status is TaskStatus.COMPLETED


def test_drained_worker_hands_back_finished_images(bench: WorkerBench) -> None:
    def script(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield from draw(generation, 3)
        raise GenerationInterruptedError("drain")

    bench.generator.script = script
    task = four_images(bench)
    assert bench.worker()(delivery_of(task)) is Settlement.RETURN
    bench.generator.script = draw_everything
    assert bench.worker("worker-b")(delivery_of(task)) is Settlement.ACKNOWLEDGE
    assert attempts_of(bench.store.get(task.id)) == ["attempt-2"] * 3 + ["attempt-1"]
    assert bench.generator.generations[1].task.missing_images == (0, 1, 2)


def test_killed_worker_leaves_reported_images_and_seconds(bench: WorkerBench) -> None:
    def script(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield from draw(generation, 0, 1)
        generation.spend(2, 0.25)
        bench.clock.advance(3)
        bench.heartbeat.beat()
        generation.spend(3, 100.0)  # after the last heartbeat: no document has it
        raise WorkerKilledError

    bench.generator.script = script
    stored = take_over(bench, four_images(bench))
    assert attempts_of(stored) == ["attempt-1", "attempt-1", "attempt-2", "attempt-2"]
    assert (stored.usage.gpu_seconds, stored.usage.wasted_gpu_seconds) == (2.0, 0.25)
    assert [attempt.gpu_seconds for attempt in stored.history] == [1.25, 1.0]


def test_task_with_all_images_completes_without_another_run(bench: WorkerBench) -> None:
    def script(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield from draw(generation, 0, 1, 2, 3)
        bench.clock.advance(4)
        bench.heartbeat.beat()
        raise WorkerKilledError

    bench.generator.script = script
    stored = take_over(bench, four_images(bench))
    assert (stored.status, attempts_of(stored)) == (TaskStatus.COMPLETED, ["attempt-1"] * 4)
    assert bench.generator.generations[1].task.missing_images == ()


def test_zombie_removes_only_its_unreferenced_images(bench: WorkerBench) -> None:
    task = four_images(bench)

    def script(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield from draw(generation, 0)
        bench.clock.advance(1)
        bench.heartbeat.beat()
        bench.clock.advance(61)
        bench.generator.script = draw_everything
        assert bench.worker("worker-b")(delivery_of(task)) is Settlement.ACKNOWLEDGE
        yield from draw(generation, 1)  # stored after the winner has deleted its files

    bench.generator.script = script
    assert bench.worker()(delivery_of(task)) is Settlement.RETURN
    stored = bench.store.get(task.id)
    assert attempts_of(stored) == ["attempt-1", "attempt-2", "attempt-2", "attempt-2"]
    assert set(bench.writer.objects) == {name for image in stored.images for name in image.object_names}


def test_last_attempts_failure_completes_a_task_with_images(bench: WorkerBench) -> None:
    def script(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield from draw(generation, 1)
        raise GenerationFailedError(CRASHED)

    bench.generator.script = script
    task = four_images(bench, attempts=1)
    assert bench.worker()(delivery_of(task)) is Settlement.ACKNOWLEDGE
    stored = bench.store.get(task.id)
    assert (stored.status, indices_of(stored)) == (TaskStatus.COMPLETED, [1])
    assert stored.failed_images == tuple(failed_image(index, CRASHED) for index in (0, 2, 3))
    assert [attempt.ending for attempt in stored.history] == ["engine_crashed"]
    assert [event.type for event in bench.events.events] == ["task.completed"]


def test_unstorable_image_keeps_the_other_images(bench: WorkerBench) -> None:
    def script(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield from draw(generation, 0)
        bench.writer.failures_left = 1
        yield from draw(generation, 1)
        assert generation.interrupted
        generation.spend(2, 0.25)
        raise GenerationInterruptedError("requested")

    bench.generator.script = script
    task = four_images(bench)
    assert bench.worker()(delivery_of(task)) is Settlement.RETURN
    stored = bench.store.get(task.id)
    assert stored.failure is not None
    assert (stored.failure.code, indices_of(stored)) == ("dependency_unavailable", [0])
    assert stored.usage.total_seconds == 1.25


def test_device_seconds_are_counted_once_by_the_settling_delivery(bench: WorkerBench) -> None:
    """Returned, then overtaken, then completed: the metric has the seconds that the workers spent."""
    counted = CountedMetrics()
    task = four_images(bench)

    def handed_back(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield from draw(generation, 0)
        generation.spend(1, 1.0)
        raise GenerationInterruptedError("drain")

    bench.generator.script = handed_back
    bench.worker()(delivery_of(task))

    def overtaken(generation: ScriptedGeneration) -> Iterator[Piece]:
        generation.spend(1, 2.0)
        bench.clock.advance(3)
        bench.heartbeat.beat()
        generation.spend(1, 4.0)
        bench.clock.advance(61)
        bench.generator.script = draw_everything
        assert bench.worker("worker-c")(delivery_of(task)) is Settlement.ACKNOWLEDGE
        yield from ()
        raise GenerationInterruptedError("lost")

    bench.generator.script = overtaken
    bench.worker("worker-b")(delivery_of(task))

    usage = bench.store.get(task.id).usage
    assert (usage.gpu_seconds, usage.wasted_gpu_seconds) == (2.0, 3.0)
    assert counted.of("darkroom.gpu.time") == {
        labelled(model="demo", use="useful"): 2.0,
        labelled(model="demo", use="wasted"): 7.0,
    }

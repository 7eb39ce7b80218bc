"""A task that is deleted during its attempt: nothing of it remains, even after an outage."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from common.domain.task import Task
from gpu_subscriber.ports import Checkpoint, Piece, Settlement
from tests.factories import parameters
from tests.fakes.outage import unavailable
from tests.fakes.scripted_generator import ScriptedGeneration, grey_image
from tests.fakes.worker_bench import WorkerBench, delivery_of

PARTS = ["writer.remove_attempts", "checkpoints.discard"]


def take_away(part: str, bench: WorkerBench, patch: pytest.MonkeyPatch) -> None:
    """Let one of PARTS fail as in an outage."""
    owner, method = part.split(".")
    patch.setattr(getattr(bench, owner), method, unavailable("it"))


@pytest.mark.parametrize("part", PARTS)
def test_next_delivery_removes_what_an_outage_left_of_a_deleted_task(
    bench: WorkerBench, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    task, worker = bench.submit(), bench.worker()
    with monkeypatch.context() as dependency:

        def deleted(generation: ScriptedGeneration) -> Iterator[Piece]:
            yield Checkpoint(index=0, step=7, state=b"latents")
            yield grey_image(generation.task, 0)
            bench.delete(task)
            take_away(part, bench, dependency)

        bench.generator.script = deleted
        assert worker(replace(delivery_of(task), delivery_attempt=1)) is Settlement.RETURN
    assert worker(replace(delivery_of(task), delivery_attempt=2)) is Settlement.ACKNOWLEDGE
    assert bench.writer.objects == {}
    assert bench.checkpoints.load(task.folder) == {}


def test_delivery_is_returned_when_a_deletion_cannot_be_confirmed(
    bench: WorkerBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, worker = bench.submit(), bench.worker()
    reads = iter([bench.store.get])  # by the write of the attempt's end, which finds no task

    def get(task_id: str) -> Task:
        return next(reads, unavailable("firestore"))(task_id)

    with monkeypatch.context() as store:

        def deleted(generation: ScriptedGeneration) -> Iterator[Piece]:
            yield grey_image(generation.task, 0)
            bench.delete(task)
            store.setattr(bench.store, "get", get)

        bench.generator.script = deleted
        assert worker(replace(delivery_of(task), delivery_attempt=1)) is Settlement.RETURN
        assert next(reads, None) is None
    assert worker(replace(delivery_of(task), delivery_attempt=2)) is Settlement.ACKNOWLEDGE
    assert bench.writer.objects == {}


@pytest.mark.parametrize("part", [None, *PARTS])
def test_nothing_remains_of_a_deleted_task_whose_id_is_in_use_again(
    bench: WorkerBench, monkeypatch: pytest.MonkeyPatch, part: str | None
) -> None:
    """The same Idempotency-Key leads to the same id."""
    task, worker = bench.submit(), bench.worker()
    with monkeypatch.context() as bucket:

        def replaced(generation: ScriptedGeneration) -> Iterator[Piece]:
            yield Checkpoint(index=0, step=7, state=b"latents")
            yield grey_image(generation.task, 0)
            bench.delete(task)
            bench.clock.advance(1)
            bench.submit(parameters=parameters(prompt="a small blue square"))
            if part is not None:
                take_away(part, bench, bucket)

        bench.generator.script = replaced
        assert worker(replace(delivery_of(task), delivery_attempt=1)) is Settlement.RETURN
    if part is None:
        assert bench.writer.objects == {}
        assert bench.checkpoints.load(task.folder) == {}

    def drawn(generation: ScriptedGeneration) -> Iterator[Piece]:
        yield grey_image(generation.task, 0)

    bench.generator.script = drawn
    assert worker(replace(delivery_of(task), delivery_attempt=2)) is Settlement.ACKNOWLEDGE
    successor = bench.store.get(task.id)
    names = {name for image in successor.images for name in image.object_names}
    assert names
    assert set(bench.writer.objects) == names
    assert bench.checkpoints.load(task.folder) == {}

"""A generation whose pieces are taken more slowly than the engine reports them."""

import weakref

import pytest

from common.domain.task import Phase
from gpu_subscriber.engine.messages import CheckpointReady, ImageReady, PhaseChanged, Start, StepDone
from gpu_subscriber.engine_host.generation import EngineGeneration
from gpu_subscriber.errors import GenerationFailedError, GenerationInterruptedError
from gpu_subscriber.ports import Checkpoint, GeneratedImage
from tests.factories import draw_conditions, submitted_task
from tests.unit.gpu_subscriber.engine_under_test import Listener


class WatchedCheckpoint(CheckpointReady):
    """Weak references show whether it is still held."""


class IdleHost:
    """An engine that accepts every generation."""

    def admit(self, generation: EngineGeneration, *, timeout_seconds: float) -> None: ...

    def interrupt(self, generation: EngineGeneration, *, want_checkpoints: bool) -> None: ...

    def dismiss(self, generation: EngineGeneration) -> None: ...

    def kill_engine(self, *, reason: str) -> None: ...


def test_only_the_newest_waiting_checkpoint_delays_the_image() -> None:
    """Each of them is stored before the next piece is taken: the bucket may need seconds for it."""
    task = submitted_task()
    start = Start(run_id="run", parameters=task.parameters, index=0, lane=task.lane, queued_at=0.0)
    generation = EngineGeneration(
        task, Listener(), (start,), IdleHost(), timeout_seconds=60.0, grace_seconds=1.0
    )
    reports = []
    for step in range(1, 20):
        report = WatchedCheckpoint(run_id="run", step=step, checkpoint=bytes([step]))
        reports.append(weakref.ref(report))
        generation.on_report(0, report)
    del report
    assert [waiting() is None for waiting in reports] == [True] * 18 + [False]
    image = ImageReady(
        run_id="run", width=1, height=1, pixels=bytes(3), gpu_seconds=1.0, draw_conditions=draw_conditions()
    )
    generation.on_report(0, image)
    checkpoint, finished = generation
    assert checkpoint == Checkpoint(index=0, step=19, state=bytes([19]))
    assert isinstance(finished, GeneratedImage)


@pytest.mark.parametrize(
    ("own_seconds", "expected"), [(0.05, GenerationInterruptedError), (0.15, GenerationFailedError)]
)
def test_attempt_on_a_shared_device_fails_only_by_its_own_seconds(
    own_seconds: float, expected: type[Exception]
) -> None:
    task = submitted_task()
    start = Start(run_id="run", parameters=task.parameters, index=0, lane=task.lane, queued_at=0.0)
    generation = EngineGeneration(
        task, Listener(), (start,), IdleHost(), timeout_seconds=0.1, grace_seconds=0.01
    )
    generation.has_shared_the_device = True
    generation.on_report(0, PhaseChanged(run_id="run", phase=Phase.DENOISING))
    generation.on_report(0, StepDone(run_id="run", step=1, steps=30, gpu_seconds=own_seconds))
    with pytest.raises(expected):
        list(generation)

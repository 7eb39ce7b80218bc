"""Generations without an engine: waiting checkpoints, and the time limit of an attempt."""

import weakref

import pytest

from common.domain.failures import FailureCode
from common.domain.task import Phase
from gpu_subscriber.engine.messages import CheckpointReady, ImageReady, PhaseChanged, RunInterrupted, Start
from gpu_subscriber.engine_host.generation import EngineGeneration, EngineLost
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


LIMIT_SECONDS = 0.1


class AnsweringHost(IdleHost):
    """An engine that answers an interrupt with the seconds and the checkpoint of the only run."""

    def __init__(self, own_seconds: float, step: int | None) -> None:
        self.answer = RunInterrupted(
            run_id="run",
            step=step or 0,
            gpu_seconds=own_seconds,
            checkpoint=None if step is None else b"newest",
        )

    def interrupt(self, generation: EngineGeneration, *, want_checkpoints: bool) -> None:
        generation.on_report(0, self.answer)


def end_of_attempt(
    host: IdleHost, *, earlier: int = 0, periodic: tuple[int, ...] = (), has_shared: bool = True
) -> Exception:
    """Return the error of an attempt that reaches its time limit, begun at step `earlier`."""
    task = submitted_task()
    start = Start(run_id="run", parameters=task.parameters, index=0, lane=task.lane, queued_at=0.0)
    generation = EngineGeneration(
        task,
        Listener(),
        (start,),
        host,
        resumed_steps={0: earlier} if earlier else {},
        timeout_seconds=LIMIT_SECONDS,
        grace_seconds=0.01,
    )
    generation.has_shared_the_device = has_shared
    generation.on_report(0, PhaseChanged(run_id="run", phase=Phase.DENOISING))
    pieces = iter(generation)
    for step in periodic:
        generation.on_report(0, CheckpointReady(run_id="run", step=step, checkpoint=b"periodic"))
        assert next(pieces) == Checkpoint(index=0, step=step, state=b"periodic")
    with pytest.raises((GenerationFailedError, GenerationInterruptedError)) as raised:
        list(pieces)
    return raised.value


@pytest.mark.parametrize(
    ("share", "step", "earlier", "expected"),
    [
        (0.5, 20, 0, GenerationInterruptedError),
        (0.5, 20, 19, GenerationInterruptedError),
        (0.5, 20, 20, GenerationFailedError),  # the next attempt would begin where this one did
        (0.5, None, 0, GenerationFailedError),  # a whole pipeline, or a sampler that cannot be saved
        (0.97, 20, 0, GenerationFailedError),  # it had the device nearly to itself
    ],
)
def test_delayed_attempt_is_handed_back_only_if_it_came_further(
    share: float, step: int | None, earlier: int, expected: type[Exception]
) -> None:
    ended = end_of_attempt(AnsweringHost(share * LIMIT_SECONDS, step), earlier=earlier)
    assert type(ended) is expected


@pytest.mark.parametrize(
    ("periodic", "expected"), [((20,), GenerationInterruptedError), ((20, 4), GenerationFailedError)]
)
def test_newest_checkpoint_decides_if_the_engine_does_not_answer(
    periodic: tuple[int, ...], expected: type[Exception]
) -> None:
    """An image that is drawn again, because it was bad, replaces its checkpoint by one of fewer steps."""
    assert type(end_of_attempt(IdleHost(), earlier=10, periodic=periodic)) is expected


def test_attempt_that_shares_no_device_fails_at_its_limit_with_a_checkpoint() -> None:
    ended = end_of_attempt(AnsweringHost(0.5 * LIMIT_SECONDS, 20), has_shared=False)
    assert type(ended) is GenerationFailedError


def test_engine_that_dies_at_the_limit_gives_no_attempt_back() -> None:
    class DyingHost(IdleHost):
        def interrupt(self, generation: EngineGeneration, *, want_checkpoints: bool) -> None:
            generation.engine_lost(
                EngineLost(caused_crash=False, failure=FailureCode.ENGINE_CRASHED.failure("SIGKILL"))
            )

    assert type(end_of_attempt(DyingHost())) is GenerationFailedError

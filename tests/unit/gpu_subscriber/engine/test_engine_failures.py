"""Failures inside the shipped engine, in its own process, caused by a misbehaving model."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from common.domain.task import Task
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine_host.process import EngineProcess
from gpu_subscriber.engine_host.watchdog import AllowedSilence
from gpu_subscriber.errors import GenerationFailedError
from gpu_subscriber.ports import FailedRun, GeneratedImage
from tests.engine_gate import EngineGate, engine_below
from tests.factories import submitted_task
from tests.unit.gpu_subscriber.engine.driven_engine import drawing, spec
from tests.unit.gpu_subscriber.engine.odd_engine import ODD_ENGINE
from tests.unit.gpu_subscriber.engine_under_test import EngineUnderTest, Listener

START_SECONDS = 120.0


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineGate]:
    gate = EngineGate(tmp_path_factory.mktemp("gate"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in gate.environment.items():
            patch.setenv(name, value)
        yield gate


@pytest.fixture(scope="module")
def engine(stable_diffusion_folder: Path, gate: EngineGate) -> Iterator[EngineUnderTest]:
    """One engine for all tests: it is replaced whenever it dies, which is part of the test."""
    settings = EngineSettings(
        models=(spec(source=str(stable_diffusion_folder)),),
        device="cpu",
        cpu_threads=1,
        niceness=0,
        measure_at_start=False,
        log_level="ERROR",
    )
    running = EngineUnderTest(
        lambda: EngineProcess.spawned(ODD_ENGINE, settings),
        attempt_timeout_seconds=START_SECONDS,
        allowed_silence=AllowedSilence(generation_seconds=5.0, loading_seconds=START_SECONDS),
    )
    yield running
    running.stop()


def task(prompt: str, **changes: int) -> Task:
    wanted = drawing(prompt=prompt, **changes)
    return submitted_task(task_id=f"{prompt} {wanted.seed}", parameters=wanted)


def test_hanging_task_is_found_and_its_neighbour_generated(engine: EngineUnderTest, gate: EngineGate) -> None:
    listeners = Listener(), Listener()
    assert engine.lives.acquire(timeout=START_SECONDS)
    with (
        capture_logs() as lines,
        ThreadPoolExecutor() as callbacks,
        gate.held(engine_below(os.getpid())),
    ):
        neighbour = callbacks.submit(engine.drawn, task("a red fox", steps=20), listeners[0])
        assert listeners[0].drawing.wait(START_SECONDS)
        hanging = callbacks.submit(engine.drawn, task("spin", seed=99), listeners[1])
        assert listeners[1].drawing.wait(START_SECONDS)
        gate.release()
        with pytest.raises(GenerationFailedError) as raised:
            hanging.result(START_SECONDS)
        assert isinstance(neighbour.result(START_SECONDS)[-1], GeneratedImage)
    assert (raised.value.failure.code, raised.value.failure.retryable) == ("engine_hung", True)
    ends = [line for line in lines if line["event"] == "engine_ended"]
    assert [(line["cause"], line["caused_crash"], len(line["drawing"])) for line in ends] == [
        ("hung", False, 2),
        ("hung", True, 1),
    ]
    assert ends[-1]["drawing"] == ["spin 99"]


@pytest.mark.parametrize(
    ("prompt", "code"),
    [
        ("sleep", "engine_hung"),
        ("segfault", "engine_crashed"),
        ("lose", "device_lost"),
        ("break", "engine_crashed"),
    ],
)
def test_engine_exit_is_reported_with_its_cause(engine: EngineUnderTest, prompt: str, code: str) -> None:
    with pytest.raises(GenerationFailedError) as raised:
        engine.drawn(task(prompt))
    assert (raised.value.failure.code, raised.value.failure.retryable) == (code, True)


def test_out_of_memory_fails_only_the_run_that_does_not_fit(engine: EngineUnderTest) -> None:
    with ThreadPoolExecutor() as callbacks:
        others = [task("crowd", seed=1), task("crowd", seed=2), task("crowd", seed=3), task("huge")]
        drawing_others = [callbacks.submit(engine.drawn, other) for other in others]
        (failed,) = engine.drawn(task("large"))
        drawn = [future.result(START_SECONDS) for future in drawing_others]
    assert isinstance(failed, FailedRun)
    assert (failed.failure.code, failed.failure.retryable) == ("out_of_gpu_memory", True)
    assert all(isinstance(pieces[-1], GeneratedImage) for pieces in drawn)


def test_non_finite_output_fails_its_task_permanently(engine: EngineUnderTest) -> None:
    with ThreadPoolExecutor() as callbacks:
        neighbour = callbacks.submit(engine.drawn, task("a red fox"))
        (failed,) = engine.drawn(task("NaN"))
        assert isinstance(neighbour.result(START_SECONDS)[-1], GeneratedImage)
    assert isinstance(failed, FailedRun)
    assert (failed.failure.code, failed.failure.retryable) == ("invalid_output", False)

"""How long an engine may send no message."""

import pytest

from common.domain.task import Phase
from gpu_subscriber.engine.messages import EngineReady, PhaseChanged, StepDone
from gpu_subscriber.engine_host.watchdog import AllowedSilence, EngineWatchdog

READY = EngineReady(models=("demo",), device="cpu", dtype="float32", slots=1, versions={})
DRAWING = PhaseChanged(run_id="run", phase=Phase.DENOISING)
LOADING = PhaseChanged(run_id="run", phase=Phase.LOADING_MODEL)
STEP = StepDone(run_id="run", step=1, steps=9)


@pytest.fixture
def silence() -> EngineWatchdog:
    return EngineWatchdog(AllowedSilence(generation_seconds=10, loading_seconds=100))


def test_start_has_the_loading_allowance(silence: EngineWatchdog) -> None:
    assert not silence.lasted(99, busy=False)
    assert silence.lasted(1, busy=False)


def test_silence_during_generation_is_summed(silence: EngineWatchdog) -> None:
    silence.on_message(READY, now=0)
    assert not silence.lasted(6, busy=True)
    assert silence.lasted(4, busy=True)


def test_any_message_ends_the_silence(silence: EngineWatchdog) -> None:
    silence.on_message(READY, now=0)
    assert not silence.lasted(6, busy=True)
    silence.on_message(DRAWING, now=6)
    assert not silence.lasted(6, busy=True)


def test_idle_engine_is_never_silent_for_too_long(silence: EngineWatchdog) -> None:
    silence.on_message(READY, now=0)
    assert not silence.lasted(1_000, busy=False)
    assert not silence.lasted(6, busy=True)


def test_loading_has_the_longer_allowance_until_the_next_message(silence: EngineWatchdog) -> None:
    silence.on_message(READY, now=0)
    silence.on_message(LOADING, now=1)
    assert not silence.lasted(99, busy=True)
    silence.on_message(DRAWING, now=100)
    assert silence.lasted(10, busy=True)


@pytest.mark.parametrize(
    ("step_seconds", "allowed"), [(0.1, 10), (2, 20), (50, 100)], ids=["floor", "measured", "ceiling"]
)
def test_slow_steps_raise_the_allowance(silence: EngineWatchdog, step_seconds: float, allowed: float) -> None:
    silence.on_message(READY, now=0)
    silence.on_message(DRAWING, now=5)
    silence.on_message(STEP, now=5 + step_seconds)
    assert silence.allowed_seconds == allowed


def test_waiting_and_loading_are_not_measured_as_steps(silence: EngineWatchdog) -> None:
    silence.on_message(READY, now=0)
    silence.on_message(LOADING, now=1_000)
    silence.on_message(STEP, now=1_090)
    assert silence.allowed_seconds == 10


def test_slow_step_expires_from_the_allowance(silence: EngineWatchdog) -> None:
    silence.on_message(READY, now=0)
    for number in range(100):
        silence.on_message(STEP, now=5 + number)
    assert silence.allowed_seconds == 10

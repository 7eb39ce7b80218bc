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


def test_a_start_may_take_as_long_as_a_load_though_nobody_draws_yet(silence: EngineWatchdog) -> None:
    assert not silence.lasted(99, busy=False)
    assert silence.lasted(1, busy=False)


def test_silence_while_something_is_drawn_is_added_up(silence: EngineWatchdog) -> None:
    silence.heard(READY, now=0)
    assert not silence.lasted(6, busy=True)
    assert silence.lasted(4, busy=True)


def test_whatever_is_said_ends_the_silence(silence: EngineWatchdog) -> None:
    silence.heard(READY, now=0)
    assert not silence.lasted(6, busy=True)
    silence.heard(DRAWING, now=6)
    assert not silence.lasted(6, busy=True)


def test_an_idle_engine_may_be_silent_for_ever_and_starts_anew_with_its_next_task(
    silence: EngineWatchdog,
) -> None:
    silence.heard(READY, now=0)
    assert not silence.lasted(1_000, busy=False)
    assert not silence.lasted(6, busy=True)


def test_loading_another_model_has_the_longer_allowance_until_the_next_word(silence: EngineWatchdog) -> None:
    silence.heard(READY, now=0)
    silence.heard(LOADING, now=1)
    assert not silence.lasted(99, busy=True)
    silence.heard(DRAWING, now=100)
    assert silence.lasted(10, busy=True)


@pytest.mark.parametrize(
    ("step_seconds", "allowed"), [(0.1, 10), (2, 20), (50, 100)], ids=["floor", "measured", "ceiling"]
)
def test_slow_steps_are_given_more(silence: EngineWatchdog, step_seconds: float, allowed: float) -> None:
    silence.heard(READY, now=0)
    silence.heard(DRAWING, now=5)
    silence.heard(STEP, now=5 + step_seconds)
    assert silence.allowed_seconds == allowed


def test_neither_waiting_for_a_task_nor_loading_is_taken_for_a_step(silence: EngineWatchdog) -> None:
    silence.heard(READY, now=0)
    silence.heard(LOADING, now=1_000)
    silence.heard(STEP, now=1_090)
    assert silence.allowed_seconds == 10


def test_one_slow_step_is_forgotten(silence: EngineWatchdog) -> None:
    silence.heard(READY, now=0)
    for number in range(100):
        silence.heard(STEP, now=5 + number)
    assert silence.allowed_seconds == 10

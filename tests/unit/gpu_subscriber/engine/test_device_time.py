"""Device seconds, on devices with immediate and with queued work: every second is in an answer."""

from typing import Any

import pytest

from common.domain.parameters import Sampler
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.messages import EngineMeasured, ImageReady, RunFailed, RunInterrupted, StepDone
from tests.fakes.queued_device import QueuedDevice
from tests.unit.gpu_subscriber.engine.conftest import DECODE_SECONDS, STEP_SECONDS, TimedFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing


def on_a_queue(stock: Any, **settings: Any) -> tuple[DrivenEngine, TimedFamily, QueuedDevice]:
    device = QueuedDevice()
    family = TimedFamily(stock, device.queue)
    engine = DrivenEngine(family, new_event=device.new_event, checkpoint_interval_seconds=0, **settings)
    return engine, family, device


def at_once(stock: Any) -> tuple[DrivenEngine, TimedFamily]:
    def work(seconds: float) -> None:
        engine.pass_time(seconds)

    family = TimedFamily(stock, work)
    engine = DrivenEngine(family, checkpoint_interval_seconds=0)
    return engine, family


def test_asynchronous_device_is_timed_by_its_own_events(stock: Any) -> None:
    driven, _, _ = on_a_queue(stock)
    driven.start_runs(3, steps=4)
    driven.run_to_end()
    images = driven.of_kind(ImageReady)
    assert [image.gpu_seconds for image in images] == pytest.approx(
        [4 * STEP_SECONDS / 3 + DECODE_SECONDS] * 3
    )
    assert [image.times.stepping_seconds for image in images] == pytest.approx([4 * STEP_SECONDS / 3] * 3)
    assert [image.times.decoding_seconds for image in images] == pytest.approx([DECODE_SECONDS] * 3)
    measured = driven.of_kind(EngineMeasured)
    assert sum(one.busy_seconds for one in measured) == pytest.approx(4 * STEP_SECONDS + 3 * DECODE_SECONDS)
    steps = [step for one in measured for step in one.steps]
    assert [(step.batch, step.seconds) for step in steps] == [(3, pytest.approx(STEP_SECONDS))] * 4


def test_timing_does_not_block_the_cpu(stock: Any) -> None:
    driven, _, device = on_a_queue(stock)
    driven.start("run", drawing(steps=10))
    driven.step(2)
    assert (device.waits, device.now) == (0, 0.0), "two steps may be queued ahead"
    assert [report.gpu_seconds for report in driven.of_kind(StepDone)] == [0.0, 0.0]
    device.finish()
    driven.step(2)
    assert driven.of_kind(StepDone)[-1].gpu_seconds == pytest.approx(2 * STEP_SECONDS)


def test_interrupted_run_is_charged_for_queued_steps(stock: Any) -> None:
    driven, _, _ = on_a_queue(stock)
    driven.start("run", drawing(steps=10))
    driven.step(2)
    driven.interrupt("run")
    driven.run_to_end()
    assert [one.gpu_seconds for one in driven.of_kind(RunInterrupted)] == [pytest.approx(2 * STEP_SECONDS)]


def test_shutdown_reports_the_seconds_of_every_run(stock: Any) -> None:
    driven, _, _ = on_a_queue(stock)
    driven.start_runs(2, steps=10)
    driven.step(2)
    driven.engine.interrupt_all(want_checkpoints=False)
    answered = driven.of_kind(RunInterrupted)
    assert [one.gpu_seconds for one in answered] == pytest.approx([2 * STEP_SECONDS / 2] * 2)


@pytest.mark.parametrize("queued", [True, False])
@pytest.mark.parametrize(
    ("breaks_at", "seconds"),
    [("predict", 2 * STEP_SECONDS + STEP_SECONDS), ("decode", 4 * STEP_SECONDS + DECODE_SECONDS)],
)
def test_failed_run_is_charged_for_its_failed_step(
    stock: Any, *, queued: bool, breaks_at: str, seconds: float
) -> None:
    driven, family = on_a_queue(stock)[:2] if queued else at_once(stock)
    driven.start("run", drawing(steps=4))
    driven.step(2)
    family.breaks_at = breaks_at
    driven.run_to_end()
    assert [one.gpu_seconds for one in driven.of_kind(RunFailed)] == [pytest.approx(seconds)]


def test_whole_pipeline_is_charged_when_it_ends_early(whole: WholePipeline) -> None:
    device = QueuedDevice()
    driven = DrivenEngine(whole, new_event=device.new_event)

    def pump() -> None:
        device.queue(STEP_SECONDS)
        if len(driven.steps_of("stopped")) == 2:
            driven.interrupt("stopped")

    driven.engine._pump = pump
    driven.draw("stopped", drawing(sampler=Sampler.LCM, steps=4))
    assert [one.gpu_seconds for one in driven.of_kind(RunInterrupted)] == [pytest.approx(2 * STEP_SECONDS)]
    driven.draw("drawn", drawing(sampler=Sampler.LCM, steps=4, seed=8))
    assert driven.of_kind(ImageReady)[0].gpu_seconds == pytest.approx(4 * STEP_SECONDS)

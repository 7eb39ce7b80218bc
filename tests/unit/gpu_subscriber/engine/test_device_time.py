"""Device seconds, on devices with immediate and with queued work: every second is in an answer."""

from collections.abc import Sequence
from typing import Any

import pytest

from common.domain.models.lora import LoraChoice
from common.domain.parameters import GenerationParameters, Sampler
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.loras.slot_bank import LoraSet
from gpu_subscriber.engine.messages import EngineMeasured, ImageReady, RunFailed, RunInterrupted, StepDone
from gpu_subscriber.engine.runs.run import Denoising
from tests.fakes.queued_device import QueuedDevice
from tests.unit.gpu_subscriber.engine.conftest import DECODE_SECONDS, STEP_SECONDS, TimedFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing

PREPARING_SECONDS, READING_SECONDS = 50.0, 20.0
COSTLY_SEED, BROKEN_SEED = 100, 101


class CostlyFamily(TimedFamily):
    """The pictures of some images take long to encode, and so does the file of their LoRA to read."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.files: set[str] = set()
        loras: Any = self.loras
        loras.chosen = self.read

    def read(self, choices: Sequence[LoraChoice]) -> LoraSet:
        """Read files that were not read before. Nothing applies."""
        for name in {choice.name for choice in choices} - self.files:
            self._work(READING_SECONDS)
            self.files.add(name)
        return ()

    def prepare(self, parameters: GenerationParameters, **given: Any) -> Denoising:
        if parameters.seed >= COSTLY_SEED:
            self._work(PREPARING_SECONDS)
        if parameters.seed == BROKEN_SEED:
            raise ValueError("the picture does not fit")
        return super().prepare(parameters, **given)


def on_a_queue(
    stock: Any, of: type[TimedFamily] = TimedFamily
) -> tuple[DrivenEngine, TimedFamily, QueuedDevice]:
    device = QueuedDevice()
    family = of(stock, device.queue)
    engine = DrivenEngine(family, new_event=device.new_event, checkpoint_interval_seconds=0)
    return engine, family, device


def at_once(stock: Any, of: type[TimedFamily] = TimedFamily) -> tuple[DrivenEngine, TimedFamily]:
    def work(seconds: float) -> None:
        engine.pass_time(seconds)

    family = of(stock, work)
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


@pytest.mark.parametrize("queued", [True, False])
@pytest.mark.parametrize("steps_before", [0, 1])
def test_preparation_is_paid_by_its_own_run(stock: Any, *, queued: bool, steps_before: int) -> None:
    """Otherwise a caller has its LoRAs and pictures paid by those whose images share its steps."""
    driven = (on_a_queue if queued else at_once)(stock, CostlyFamily)[0]
    driven.start_runs(2, steps=4)
    driven.step(steps_before)
    lora = LoraChoice(name="large", scale=1.0)
    driven.start("costly", drawing(seed=COSTLY_SEED, steps=4, loras=(lora,)))
    driven.run_to_end()
    seconds = {image.run_id: image.gpu_seconds for image in driven.of_kind(ImageReady)}
    shared = (4 - steps_before) * STEP_SECONDS / 3
    own = shared + steps_before * STEP_SECONDS / 2 + DECODE_SECONDS
    costly = shared + steps_before * STEP_SECONDS + DECODE_SECONDS + READING_SECONDS + PREPARING_SECONDS
    assert seconds == pytest.approx({"0": own, "1": own, "costly": costly})
    (times,) = [image.times for image in driven.of_kind(ImageReady) if image.run_id == "costly"]
    assert times.preparing_seconds == pytest.approx(READING_SECONDS + PREPARING_SECONDS)


@pytest.mark.parametrize("queued", [True, False])
def test_failed_preparation_is_paid_by_its_own_run(stock: Any, *, queued: bool) -> None:
    driven = (on_a_queue if queued else at_once)(stock, CostlyFamily)[0]
    driven.start("run", drawing(steps=4))
    driven.start("broken", drawing(seed=BROKEN_SEED, steps=4))
    driven.run_to_end()
    assert [one.gpu_seconds for one in driven.of_kind(RunFailed)] == [pytest.approx(PREPARING_SECONDS)]
    [image] = driven.of_kind(ImageReady)
    assert image.gpu_seconds == pytest.approx(4 * STEP_SECONDS + DECODE_SECONDS)


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

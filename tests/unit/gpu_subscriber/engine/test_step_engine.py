"""The step engine's behaviour around the drawing: reports, interruptions, failures, models."""

from typing import Any

import numpy as np
import pytest
import torch

from common.domain.models.known_pipelines import DIFFUSION_SAMPLERS
from common.domain.parameters import Sampler
from common.domain.task import Lane, Phase
from gpu_subscriber.engine.errors import ModelUnavailableError
from gpu_subscriber.engine.families.decoded import Decoded
from gpu_subscriber.engine.messages import ImageReady, PhaseChanged, RunFailed, RunInterrupted, StepDone
from gpu_subscriber.engine.models.model_backoff import FIRST_PAUSE_SECONDS
from gpu_subscriber.engine.runs.run import Denoising
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily, TimedFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing
from tests.unit.gpu_subscriber.engine.stock_oracle import stock_picture


def assert_equals_stock_picture(driven: DrivenEngine, run_id: str, stock: Any, **changes: Any) -> None:
    """Compare with the stock pipeline; a batch may round differently by one."""
    expected = stock_picture(stock, drawing(**changes)).pixels
    assert np.abs(driven.picture(run_id).astype(int) - expected.astype(int)).max() <= 1


def test_run_reports_its_phases_and_steps(driven: DrivenEngine) -> None:
    driven.draw("run", drawing(steps=4))
    assert driven.steps_of("run") == [1, 2, 3, 4]
    assert [message.phase for message in driven.of_kind(PhaseChanged, "run")] == [
        Phase.LOADING_MODEL,
        Phase.ENCODING_PROMPT,
        Phase.DENOISING,
        Phase.DECODING,
    ]


@pytest.mark.parametrize("sampler", DIFFUSION_SAMPLERS)
def test_steps_are_counted_as_requested(driven: DrivenEngine, sampler: Sampler) -> None:
    """PNDM takes one step more than requested; no report says step 6 of 5."""
    driven.draw("run", drawing(sampler=sampler, steps=5))
    reported = [(message.step, message.steps) for message in driven.of_kind(StepDone)]
    assert reported[-1] == (5, 5)
    assert sorted(reported) == reported
    assert all(step <= steps for step, steps in reported)


def test_device_time_is_divided_among_a_batchs_runs(stock: Any) -> None:
    class SlowFamily(RecordingFamily):
        def predict(self, states: Any) -> list[torch.Tensor]:
            driven.now += 6.0
            return super().predict(states)

    driven = DrivenEngine(SlowFamily(stock), checkpoint_interval_seconds=0)
    driven.start_runs(3)
    driven.run_to_end()
    assert [image.gpu_seconds for image in driven.of_kind(ImageReady)] == pytest.approx([4 * 6.0 / 3] * 3)


def test_image_reports_its_times(stock: Any) -> None:
    class SlowFamily(RecordingFamily):
        def prepare(self, *given: Any, **named: Any) -> Any:
            driven.now += 1.0
            return super().prepare(*given, **named)

        def predict(self, states: Any) -> list[torch.Tensor]:
            driven.now += 6.0
            return super().predict(states)

        def decode(self, *given: Any, **named: Any) -> Any:
            driven.now += 3.0
            return super().decode(*given, **named)

    driven = DrivenEngine(SlowFamily(stock), checkpoint_interval_seconds=0)
    driven.start("first", drawing(steps=4))
    driven.step(2)
    driven.draw("second", drawing(steps=4))
    first, second = (image.times for image in driven.of_kind(ImageReady))
    # Two steps alone and two together; then in reverse order.
    for times in (first, second):
        assert (times.preparing_seconds, times.decoding_seconds) == (1.0, 3.0)
        assert (times.steps, times.shared_by) == (4, 1.5)
        assert times.stepping_seconds == pytest.approx(6.0 * 2 + 3.0 * 2)
        assert times.seconds_of(8) == pytest.approx(1.0 + 8 * 4.5 + 3.0)


def test_interrupted_run_stops_and_the_others_continue(driven: DrivenEngine, stock: Any) -> None:
    driven.start("stopped", drawing(seed=1))
    driven.start("other", drawing(seed=2))
    driven.step(2)
    driven.interrupt("stopped")
    driven.run_to_end()
    (stopped,) = driven.of_kind(RunInterrupted)
    assert (stopped.run_id, stopped.step, stopped.checkpoint) == ("stopped", 2, None)
    assert driven.steps_of("stopped") == [1, 2]
    assert_equals_stock_picture(driven, "other", stock, seed=2)


def test_unknown_and_finished_runs_ignore_interrupts(driven: DrivenEngine) -> None:
    driven.draw()
    driven.interrupt("run")
    driven.interrupt("never-started")
    assert driven.of_kind(RunInterrupted) == []


def test_shutdown_interrupts_all_runs_with_checkpoints(driven: DrivenEngine) -> None:
    driven.start_runs(3)
    driven.step(2)
    driven.engine.interrupt_all(want_checkpoints=True)
    stopped = driven.of_kind(RunInterrupted)
    assert [message.step for message in stopped] == [2, 2, 2]
    assert all(message.checkpoint for message in stopped)
    assert not driven.engine.is_busy


def test_interactive_run_overtakes_a_batch_run_of_another_key(driven: DrivenEngine) -> None:
    driven.start("batch", drawing(steps=5), lane=Lane.BATCH)
    driven.step(2)
    driven.start("interactive", drawing(steps=2, guidance_scale=1.0), queued_at=9.0)
    driven.run_to_end()
    assert driven.drawn_runs == ["interactive", "batch"]


def test_runs_beyond_the_cap_wait_and_follow(family: RecordingFamily) -> None:
    driven = DrivenEngine(family, max_batch=2)
    driven.start_runs(5, steps=2)
    driven.run_to_end()
    assert family.batches == [2, 2, 2, 2, 1, 1]
    assert driven.drawn_runs == list("01234")


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────


class FamilyWithLittleMemory(RecordingFamily):
    """Fits `room` Runs into a forward, and raises `torch.OutOfMemoryError` for more."""

    room = 2

    def predict(self, states: Any) -> list[torch.Tensor]:
        if len(states) > self.room:
            self.batches.append(-len(states))
            raise torch.OutOfMemoryError("out of memory")
        return super().predict(states)


def test_batch_is_halved_until_it_fits(stock: Any) -> None:
    family = FamilyWithLittleMemory(stock)
    driven = DrivenEngine(family)
    driven.start_runs(8, steps=2)
    driven.run_to_end()
    assert family.batches[:3] == [-8, -4, 2]
    assert driven.failed_runs == []
    for number in range(8):
        assert_equals_stock_picture(driven, str(number), stock, seed=number, steps=2)


def test_run_that_does_not_fit_alone_fails(stock: Any) -> None:
    class Choosy(FamilyWithLittleMemory):
        def predict(self, states: Any) -> list[torch.Tensor]:
            if any(state.latents.shape[-1] > 4 for state in states):
                raise torch.OutOfMemoryError("out of memory")
            return super().predict(states)

    driven = DrivenEngine(Choosy(stock))
    driven.start("large", drawing(width=64))
    driven.start("small", drawing())
    driven.run_to_end()
    (failed,) = driven.of_kind(RunFailed)
    assert (failed.failure.code, failed.failure.retryable) == ("out_of_gpu_memory", True)
    assert (driven.failed_runs, driven.drawn_runs) == (["large"], ["small"])


def test_image_is_decoded_in_tiles_when_memory_is_short(stock: Any) -> None:
    class TiledOnly(RecordingFamily):
        tiled: bool = False

        def decode(self, state: Denoising, *, tiled: bool = False) -> Decoded:
            if not tiled:
                raise torch.OutOfMemoryError("out of memory")
            self.tiled = True
            return super().decode(state, tiled=True)

    family = TiledOnly(stock)
    driven = DrivenEngine(family)
    driven.draw()
    assert family.tiled
    assert not stock.vae.use_tiling
    assert np.array_equal(driven.picture("run"), stock_picture(stock, drawing()).pixels)


def test_failed_prediction_does_not_fail_the_batch(stock: Any) -> None:
    class OnePoisonous(RecordingFamily):
        def predict(self, states: Any) -> list[torch.Tensor]:
            if any(state.generator.initial_seed() == 666 for state in states):
                raise ValueError("these numbers do not fit: a red fox")
            return super().predict(states)

    driven = DrivenEngine(OnePoisonous(stock))
    for seed in (1, 666, 2):
        driven.start(str(seed), drawing(seed=seed))
    driven.run_to_end()
    (failed,) = driven.of_kind(RunFailed)
    assert (failed.failure.code, failed.failure.retryable) == ("generation_failed", False)
    assert "fox" not in failed.failure.message
    assert (driven.failed_runs, set(driven.drawn_runs)) == (["666"], {"1", "2"})


def test_failed_preparation_does_not_fail_other_runs(stock: Any) -> None:
    class Illiterate(RecordingFamily):
        def prepare(self, parameters: Any, **given: Any) -> Denoising:
            if "unspeakable" in parameters.prompt:
                raise UnicodeError("cannot encode")
            return super().prepare(parameters, **given)

    driven = DrivenEngine(Illiterate(stock))
    driven.start("bad", drawing(prompt="unspeakable"))
    driven.start("good", drawing())
    driven.run_to_end()
    assert (driven.failed_runs, driven.drawn_runs) == (["bad"], ["good"])


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_non_finite_latents_never_become_an_image(stock: Any, number: float) -> None:
    class Broken(RecordingFamily):
        def predict(self, states: Any) -> list[torch.Tensor]:
            return [prediction * number for prediction in super().predict(states)]

    driven = DrivenEngine(Broken(stock))
    driven.draw()
    (failed,) = driven.of_kind(RunFailed)
    assert (failed.failure.code, failed.failure.retryable) == ("invalid_output", False)
    assert driven.steps_of("run") == [1, 2, 3, 4] * 2
    assert driven.of_kind(ImageReady) == []


class SpoiltOnce(RecordingFamily):
    """The first image's numbers are not finite because of the device; the second image is correct."""

    def __init__(self, stock: Any) -> None:
        super().__init__(stock)
        self.decoded = 0

    def decode(self, state: Denoising, *, tiled: bool = False) -> Decoded:
        self.decoded += 1
        if self.decoded == 1:
            state.latents = state.latents * float("nan")
        return super().decode(state, tiled=tiled)


def test_invalid_image_is_generated_again_alone(stock: Any) -> None:
    driven = DrivenEngine(SpoiltOnce(stock))
    driven.start("faulty", drawing(seed=1))
    driven.start("other", drawing(seed=2))
    driven.run_to_end()
    assert driven.failed_runs == []
    assert (driven.steps_of("faulty"), driven.steps_of("other")) == ([1, 2, 3, 4] * 2, [1, 2, 3, 4])
    assert_equals_stock_picture(driven, "faulty", stock, seed=1)


def test_checkpoint_of_an_invalid_image_is_not_used_again(stock: Any) -> None:
    first = DrivenEngine(RecordingFamily(stock))
    first.start("run", drawing())
    first.step(2)
    first.interrupt("run", want_checkpoint=True)
    driven = DrivenEngine(SpoiltOnce(stock))
    driven.start("run", drawing(), checkpoint=first.of_kind(RunInterrupted)[0].checkpoint)
    driven.run_to_end()
    assert driven.steps_of("run") == [3, 4, 1, 2, 3, 4]
    assert driven.of_kind(ImageReady)[0].resumed_at_step == 0


@pytest.mark.parametrize("how", ["interrupt", "interrupt_all"])
def test_run_with_an_invalid_image_can_be_interrupted(stock: Any, how: str) -> None:
    driven = DrivenEngine(SpoiltOnce(stock))
    driven.start("faulty", drawing(steps=1))
    driven.start("long", drawing(steps=9))
    driven.step()
    if how == "interrupt":
        driven.interrupt("faulty")
        driven.run_to_end()
    else:
        driven.engine.interrupt_all(want_checkpoints=False)
    assert len(driven.of_kind(RunInterrupted, "faulty")) == 1
    assert driven.of_kind(ImageReady, "faulty") == []


class OneColour(RecordingFamily):
    """Every image has one colour: `level` in the decoder's floats, everywhere."""

    level = -1.0

    def decode(self, state: Denoising, *, tiled: bool = False) -> Decoded:
        decoder, self.pipeline.vae.decode = self.pipeline.vae.decode, self._flat
        try:
            return super().decode(state, tiled=tiled)
        finally:
            self.pipeline.vae.decode = decoder

    def _flat(self, latents: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        return (torch.full((1, 3, 32, 32), self.level),)


def test_single_colour_image_is_generated_again_then_accepted(stock: Any) -> None:
    driven = DrivenEngine(OneColour(stock))
    driven.draw()
    assert driven.steps_of("run") == [1, 2, 3, 4] * 2
    assert not driven.picture("run").any()
    assert driven.failed_runs == []


def test_image_that_rounds_to_black_is_generated_once(stock: Any) -> None:
    class BlackSky(OneColour):
        def _flat(self, latents: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
            return (-1.0 - 0.001 * torch.rand(1, 3, 32, 32),)

    driven = DrivenEngine(BlackSky(stock))
    driven.draw()
    assert driven.steps_of("run") == [1, 2, 3, 4]
    assert not driven.picture("run").any()


@pytest.mark.parametrize("runs", [1, 3])
def test_lost_device_ends_the_engine_without_a_culprit(stock: Any, runs: int) -> None:
    class Lost(RecordingFamily):
        def predict(self, states: Any) -> list[torch.Tensor]:
            raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    driven = DrivenEngine(Lost(stock))
    driven.start_runs(runs)
    with pytest.raises(torch.AcceleratorError):
        driven.step()
    assert driven.failed_runs == []


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────


def test_run_of_an_unknown_model_fails(driven: DrivenEngine) -> None:
    driven.start("run", drawing(model="unheard-of"))
    assert driven.of_kind(RunFailed)[0].failure.code == "model_unavailable"


def test_unloadable_model_fails_only_its_runs(family: RecordingFamily) -> None:
    def load(name: str) -> RecordingFamily:
        if name == "broken":
            raise ModelUnavailableError(name, reason="no weights")
        return family

    driven = DrivenEngine({"tiny": family, "broken": family}, load=load)
    driven.start("bad", drawing(model="broken"))
    driven.start("good", drawing())
    driven.run_to_end()
    assert (driven.failed_runs, driven.drawn_runs) == (["bad"], ["good"])


def test_broken_model_is_not_loaded_during_its_backoff(family: RecordingFamily) -> None:
    loads: list[str] = []

    def load(name: str) -> RecordingFamily:
        loads.append(name)
        if name == "broken" and loads.count("broken") == 1:
            raise ArithmeticError("an unexpected error")
        return family

    driven = DrivenEngine({"tiny": family, "broken": family}, load=load)
    driven.draw("first", drawing(model="broken"))
    driven.draw("second", drawing(model="broken"))
    driven.draw("tiny")
    assert loads == ["broken", "tiny"]
    driven.now += FIRST_PAUSE_SECONDS
    driven.draw("later", drawing(model="broken"))
    assert loads == ["broken", "tiny", "broken"]
    assert (driven.failed_runs, driven.drawn_runs) == (["first", "second"], ["tiny", "later"])
    assert driven.model_cache.backoff.broken == ()


def test_runs_survive_the_eviction_of_their_model(stock: Any) -> None:
    """Two models, one slot. A Run that is halfway keeps its state while its model is unloaded."""
    driven = DrivenEngine(
        {name: TimedFamily(stock, lambda _: driven.pass_time(3.0)) for name in ("one", "two")},
        model_switch_patience_seconds=5.0,
    )
    driven.start("first", drawing(model="one", steps=4))
    driven.step()
    driven.start("second", drawing(model="two", steps=2), queued_at=-1.0)
    driven.step(2)
    assert driven.steps_of("second") == []
    driven.step()
    assert driven.steps_of("second") == [1]
    assert driven.model_cache.loaded == {"two"}
    driven.run_to_end()
    for run_id, steps in (("first", 4), ("second", 2)):
        assert np.array_equal(driven.picture(run_id), stock_picture(stock, drawing(steps=steps)).pixels)

"""Admission by measured memory: no batch and no size is tried that does not fit."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.batches.memory_needs import MemoryNeeds
from gpu_subscriber.engine.errors import OutOfMemoryError
from gpu_subscriber.engine.families.decoded import Decoded
from gpu_subscriber.engine.loras.model_loras import ModelLoras
from gpu_subscriber.engine.loras.slot_bank import LoraSet
from gpu_subscriber.engine.messages import ImageReady, Picture, RunFailed
from gpu_subscriber.engine.runs.run import Denoising
from gpu_subscriber.engine.tuning.warm_up import warm_up
from tests.fakes.limited_memory import LimitedMemory
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing, spec
from tests.unit.gpu_subscriber.engine.tiny_pipelines import SIDE

STEP_BYTES = 1_000_000
ROW_BYTES = 1_000
"""Per pixel and row of a step."""
DECODING_BYTES = 3_000
"""Per pixel of a decoding in one piece."""
ONE_RUN = 2 * SIDE * SIDE * ROW_BYTES


class HungryFamily(RecordingFamily):
    """Takes memory in proportion to the work, besides a fixed part."""

    takes_of_picture = takes_of_prompts = 0
    """What the encoders take, which the warm-up does not measure."""

    def __init__(self, pipeline: Any, memory: LimitedMemory) -> None:
        super().__init__(pipeline)
        self.memory = memory
        self.prompt_batches: list[int] = []

    def encode_image(self, pixels: torch.Tensor) -> torch.Tensor:
        self.memory.allocate(self.takes_of_picture)
        return super().encode_image(pixels)

    def encode(self, texts: Any, kind: Any) -> Any:
        self.prompt_batches.append(len(texts))
        self.memory.allocate(self.takes_of_prompts)
        return super().encode(texts, kind)

    def predict(self, states: Any) -> list[torch.Tensor]:
        height, width = states[0].size
        rows = len(states) * len(states[0].branches)
        self.memory.allocate(STEP_BYTES + rows * height * width * ROW_BYTES)
        return super().predict(states)

    def decode(self, state: Denoising, *, tiled: bool = False) -> Decoded:
        if not tiled:
            self.memory.allocate(state.size[0] * state.size[1] * DECODING_BYTES)
        return super().decode(state, tiled=tiled)


def warm_engine(stock: Any, *, free: int, measured: bool = True) -> tuple[DrivenEngine, HungryFamily]:
    """Return an engine on a device with `free` bytes besides the weights."""
    memory = LimitedMemory(total=10_000_000 + free, used=10_000_000)
    family = HungryFamily(stock, memory)
    driven = DrivenEngine(family, memory=memory if measured else None)
    warm_up(family, spec(), driven.device, driven.caps, measure=False)
    family.batches.clear()
    return driven, family


def test_batches_stay_within_the_free_memory(stock: Any) -> None:
    driven, family = warm_engine(stock, free=STEP_BYTES + 4 * ONE_RUN)
    driven.start_runs(8)
    driven.start("smaller", drawing(width=SIDE // 2))
    driven.run_to_end()
    assert len(driven.of_kind(ImageReady)) == 9
    assert (max(family.batches), family.memory.failures) == (3, 0)  # a tenth of the memory is left


def test_unmeasured_memory_is_exceeded(stock: Any) -> None:
    """The counter-check of the test above."""
    driven, family = warm_engine(stock, free=STEP_BYTES + 4 * ONE_RUN, measured=False)
    driven.start_runs(8)
    driven.run_to_end()
    assert family.memory.failures > 0


def test_size_that_does_not_fit_is_refused_before_its_first_step(stock: Any) -> None:
    driven, family = warm_engine(stock, free=STEP_BYTES + 3 * ONE_RUN)
    driven.start("large", drawing(width=2 * SIDE, height=2 * SIDE))
    driven.start("wide", drawing(width=2 * SIDE))
    driven.run_to_end()
    assert (driven.failed_runs, driven.drawn_runs, family.memory.failures) == (["large"], ["wide"], 0)
    (failed,) = driven.of_kind(RunFailed)
    assert failed.failure.code == "out_of_gpu_memory"
    assert f"an image of {2 * SIDE} × {2 * SIDE} needs 0.0 GB more than is free" in failed.failure.message


class HeldSlots(ModelLoras):
    """The slots that Runs with LoRAs of high ranks have left behind."""

    def __init__(self, family: HungryFamily, size: int) -> None:
        super().__init__(family.pipeline, family.network)
        self.memory, self.size = family.memory, size
        self.memory.used += size

    @property
    def device_bytes(self) -> int:
        return self.size

    def release(self) -> None:
        self.memory.used -= self.size
        self.size = 0


def test_slots_of_loras_give_way_to_an_image_that_does_not_fit_beside_them(stock: Any) -> None:
    driven, family = warm_engine(stock, free=STEP_BYTES + 3 * ONE_RUN)
    family.loras = HeldSlots(family, 2 * ONE_RUN)
    driven.start("wide", drawing(width=2 * SIDE))
    driven.run_to_end()
    assert (driven.failed_runs, driven.drawn_runs, family.memory.failures) == ([], ["wide"], 0)


def test_slots_that_are_made_during_an_image_give_way_to_its_next_step(stock: Any) -> None:
    driven, family = warm_engine(stock, free=STEP_BYTES + 3 * ONE_RUN)
    driven.start("wide", drawing(width=2 * SIDE))
    driven.step()
    family.loras = HeldSlots(family, 2 * ONE_RUN)
    driven.run_to_end()
    assert (driven.failed_runs, driven.drawn_runs, family.memory.failures) == ([], ["wide"], 1)


def test_image_that_does_not_fit_without_slots_either_is_refused(stock: Any) -> None:
    driven, family = warm_engine(stock, free=STEP_BYTES + 3 * ONE_RUN)
    family.loras = HeldSlots(family, ONE_RUN // 2)
    driven.start("large", drawing(width=2 * SIDE, height=2 * SIDE))
    driven.run_to_end()
    assert (driven.failed_runs, family.memory.failures) == (["large"], 0)
    assert family.loras.device_bytes == ONE_RUN // 2


class HeldByEncoders(HeldSlots):
    """Slots of the text encoders, beside which the denoiser's cannot be made."""

    def select(self, sets: Sequence[LoraSet], *, repeats: int) -> None:
        if self.size:
            raise OutOfMemoryError("its LoRAs need 0.1 GB")


def test_slots_of_text_encoders_give_way_to_those_of_the_denoiser(stock: Any) -> None:
    driven, family = warm_engine(stock, free=STEP_BYTES + 3 * ONE_RUN)
    family.loras = HeldByEncoders(family, ONE_RUN)
    driven.start_runs(2)
    driven.run_to_end()
    assert (driven.failed_runs, driven.drawn_runs) == ([], ["0", "1"])


def test_slots_of_loras_give_way_to_a_decoding(stock: Any) -> None:
    driven, family = warm_engine(stock, free=STEP_BYTES + 2 * ONE_RUN)
    family.loras = HeldSlots(family, ONE_RUN)
    driven.draw("run")
    assert (driven.drawn_runs, tiled_runs(driven)) == (["run"], [])
    assert (family.memory.failures, family.loras.device_bytes) == (0, 0)


FREE = STEP_BYTES + 8 * ONE_RUN
GREY = Picture(width=SIDE, height=SIDE, pixels=bytes(SIDE * SIDE * 3))


def encoding_engine(stock: Any, **takes: int) -> tuple[DrivenEngine, HungryFamily]:
    driven, family = warm_engine(stock, free=FREE)
    family.prompt_batches.clear()
    family.drop_prompts()
    for name, size in takes.items():
        setattr(family, name, size)
    family.loras = HeldSlots(family, ONE_RUN)
    return driven, family


def test_slots_of_loras_give_way_to_the_encoding_of_a_picture(stock: Any) -> None:
    driven, family = encoding_engine(stock, takes_of_picture=FREE)
    driven.draw("run", drawing(image="0" * 64, strength=0.8), inputs={"image": GREY})
    assert (driven.failed_runs, driven.drawn_runs, family.memory.failures) == ([], ["run"], 1)


def test_slots_of_loras_give_way_to_the_encoding_of_prompts(stock: Any) -> None:
    driven, family = encoding_engine(stock, takes_of_prompts=FREE)
    for name in ("fox", "owl"):
        driven.start(name, drawing(prompt=name))
    driven.run_to_end()
    assert (driven.failed_runs, driven.drawn_runs) == ([], ["fox", "owl"])
    assert family.prompt_batches == [1, 1, 2], "the negative prompt, then both prompts in one pass"


def test_slots_of_loras_give_way_to_the_check_of_an_image(stock: Any) -> None:
    memory = LimitedMemory(total=10_000_000 + FREE, used=10_000_000)

    def classify(pixels: torch.Tensor) -> torch.Tensor:
        memory.allocate(FREE)
        return torch.tensor(False)

    family = HungryFamily(stock, memory)
    driven = DrivenEngine(family, memory=memory, classify=classify)
    family.loras = HeldSlots(family, ONE_RUN)
    driven.draw("run")
    assert (driven.failed_runs, driven.drawn_runs, memory.failures) == ([], ["run"], 1)


def test_slots_of_loras_give_way_to_a_decoding_that_exceeds_its_measurement(stock: Any) -> None:
    driven, family = warm_engine(stock, free=STEP_BYTES + 2 * ONE_RUN, measured=False)
    family.loras = HeldSlots(family, ONE_RUN)
    driven.draw("run")
    assert (tiled_runs(driven), driven.drawn_runs, family.memory.failures) == ([], ["run"], 1)


def test_slots_of_loras_are_kept_if_a_decoding_needs_tiles_anyway(stock: Any) -> None:
    driven, family = warm_engine(stock, free=STEP_BYTES + 3 * ONE_RUN)
    family.loras = HeldSlots(family, ROW_BYTES)
    driven.draw("wide", drawing(width=4 * SIDE, guidance_scale=1.0))
    assert (tiled_runs(driven), family.memory.failures) == (["wide"], 0)
    assert family.loras.device_bytes == ROW_BYTES


def tiled_runs(driven: DrivenEngine) -> list[str]:
    """Return the Runs whose images were decoded in tiles."""
    images = driven.of_kind(ImageReady)
    return [image.run_id for image in images if image.draw_conditions.decoded_in_tiles]


def test_image_is_decoded_in_tiles_when_it_does_not_fit(stock: Any) -> None:
    driven, family = warm_engine(stock, free=2 * SIDE * SIDE * DECODING_BYTES)
    driven.start("wide", drawing(width=2 * SIDE))
    driven.start("larger", drawing(width=2 * SIDE + SIDE // 2, guidance_scale=1.0))
    driven.run_to_end()
    assert (tiled_runs(driven), len(driven.drawn_runs), family.memory.failures) == (["larger"], 2, 0)


def test_cap_follows_the_memory_that_is_free_now(stock: Any) -> None:
    driven, family = warm_engine(stock, free=STEP_BYTES + 20 * ONE_RUN)
    key = BatchKey.of(drawing())
    assert driven.caps.cap_of(key) == 8
    family.memory.used += 15 * ONE_RUN
    assert driven.caps.cap_of(key) == 4
    family.memory.used -= 15 * ONE_RUN
    assert driven.caps.cap_of(key) == 8


def test_warm_up_tries_no_batch_that_does_not_fit(stock: Any) -> None:
    memory = LimitedMemory(total=STEP_BYTES + 3 * ONE_RUN)
    family = HungryFamily(stock, memory)
    caps = BatchCaps(max_batch=8, memory=memory)
    driven = DrivenEngine(family, memory=memory)
    warm_up(family, spec(), driven.device, caps, measure=True)
    assert (max(family.batches), memory.failures) == (2, 0)


@pytest.mark.parametrize(
    ("alone", "pair", "needs_of_four"),
    [(300, 400, 600), (300, 600, 1_200), (300, 300, 1_200), (300, 900, 1_800), (0, 0, 4)],
    ids=["with a fixed part", "linear", "pair not measured", "more than linear", "nothing measured"],
)
def test_needs_of_larger_batches_follow_from_two_peaks(alone: int, pair: int, needs_of_four: int) -> None:
    key = BatchKey(model="tiny", width=8, height=8, branches=1)
    needs = MemoryNeeds.measured(key, alone=alone, pair=pair, decoding=64)
    assert needs.of_step(key, 4) == needs_of_four
    assert needs.largest_batch(key, needs_of_four) == 4
    assert needs.of_decoding(key) == 64

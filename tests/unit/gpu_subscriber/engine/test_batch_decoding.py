"""Runs that end at the same step are decoded together, where the warm-up found that faster."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.errors import ContentFilteredError
from gpu_subscriber.engine.families.decoded import Decoded
from gpu_subscriber.engine.families.stable_diffusion import StableDiffusion
from gpu_subscriber.engine.messages import ImageReady
from gpu_subscriber.engine.reproduce import generate_like
from gpu_subscriber.engine.runs.run import Denoising
from tests.fakes.queued_device import QueuedDevice
from tests.unit.gpu_subscriber.engine.conftest import DECODE_SECONDS, STEP_SECONDS
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing
from tests.unit.gpu_subscriber.engine.stock_oracle import stock_picture


class Counting(StableDiffusion):
    """Records how many images each pass of the decoder returned."""

    def __init__(self, pipeline: Any, device: QueuedDevice | None = None) -> None:
        super().__init__(pipeline)
        self.decodings: list[int] = []
        self.queued = device or QueuedDevice()

    def predict(self, states: Sequence[Denoising]) -> list[torch.Tensor]:
        self.queued.queue(STEP_SECONDS)
        return super().predict(states)

    def decode_together(self, states: Sequence[Denoising]) -> list[Decoded]:
        self.queued.queue(DECODE_SECONDS)
        self.decodings.append(len(states))
        return super().decode_together(states)


def engine(family: StableDiffusion, *, together: int, **settings: Any) -> DrivenEngine:
    driven = DrivenEngine(family, **settings)
    driven.caps.learn_decoding(BatchKey.of(drawing()), together)
    return driven


def asked(run_id: str) -> GenerationParameters:
    return drawing(seed=int(run_id))


def test_runs_that_end_together_are_decoded_together(stock: Any) -> None:
    family = Counting(stock)
    driven = engine(family, together=2)
    driven.start_runs(5)
    driven.run_to_end()
    assert family.decodings == [2, 2, 1]
    for image in driven.of_kind(ImageReady):
        expected = stock_picture(stock, asked(image.run_id)).pixels.astype(int)
        assert np.abs(driven.picture(image.run_id).astype(int) - expected).max() <= 1
    recorded = {image.run_id: image.draw_conditions.decoded_together for image in driven.of_kind(ImageReady)}
    assert recorded == {"0": 2, "1": 2, "2": 2, "3": 2, "4": 1}


def test_unmeasured_decodings_take_one_image(stock: Any) -> None:
    family = Counting(stock)
    driven = DrivenEngine(family)
    driven.start_runs(3)
    driven.run_to_end()
    assert family.decodings == [1, 1, 1]


def test_larger_images_are_decoded_in_smaller_batches(stock: Any) -> None:
    driven = engine(Counting(stock), together=4)
    key = BatchKey.of(drawing())
    wide = BatchKey(model=key.model, width=2 * key.width, height=key.height, branches=2)
    huge = BatchKey(model=key.model, width=8 * key.width, height=8 * key.height, branches=2)
    assert [driven.caps.decoding_batch_of(one) for one in (key, wide, huge)] == [4, 2, 1]


def test_image_decoded_in_a_batch_is_reproduced_bit_equal(stock: Any) -> None:
    driven = engine(StableDiffusion(stock), together=4)
    driven.start_runs(3)
    driven.run_to_end()
    (image,) = driven.of_kind(ImageReady, "1")
    assert image.draw_conditions.decoded_together == 3
    again = generate_like(StableDiffusion(stock), asked("1"), image.draw_conditions)
    assert again == (image.pixels, image.draw_conditions)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("out of memory"), ContentFilteredError(), ValueError("a red fox")]
)
def test_batch_that_cannot_be_decoded_is_decoded_one_by_one(stock: Any, error: Exception) -> None:
    class Alone(Counting):
        def decode_together(self, states: Sequence[Denoising]) -> list[Decoded]:
            if len(states) > 1:
                raise error
            return super().decode_together(states)

    family = Alone(stock)
    driven = engine(family, together=4)
    driven.start_runs(3)
    driven.run_to_end()
    assert (family.decodings, len(driven.drawn_runs)) == ([1, 1, 1], 3)


def test_refused_image_does_not_fail_the_others_of_its_batch(stock: Any) -> None:
    class Filtering(StableDiffusion):
        checked = 0

        def check(self, image: torch.Tensor) -> None:
            self.checked += 1
            if self.checked in (2, 4):  # the second image, in the batch and alone
                raise ContentFilteredError

    driven = engine(Filtering(stock), together=4)
    driven.start_runs(3)
    driven.run_to_end()
    assert (driven.failed_runs, driven.drawn_runs) == (["1"], ["0", "2"])


def test_shared_decoding_is_charged_in_equal_shares(stock: Any) -> None:
    device = QueuedDevice()
    driven = engine(Counting(stock, device), together=4, new_event=device.new_event)
    driven.start_runs(4)
    driven.run_to_end()
    images = driven.of_kind(ImageReady)
    assert [image.times.decoding_seconds for image in images] == pytest.approx([DECODE_SECONDS / 4] * 4)
    assert sum(image.gpu_seconds for image in images) == pytest.approx(4 * STEP_SECONDS + DECODE_SECONDS)

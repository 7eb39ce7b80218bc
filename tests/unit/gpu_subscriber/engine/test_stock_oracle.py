"""The oracle: whatever else the engine is doing, a Run's image is the stock pipeline's image.

Alone the forward has the stock call's shape, so latents are equal bit for bit. In a shared batch,
matrix products are summed in another order: float32 rounding, 1e-7 of each prediction, which
guidance multiplies and the solver's steps propagate. Over these few steps that stays below
LATENT_TOLERANCE and moves no pixel by more than one level of 255.
"""

from typing import Any

import numpy as np
import pytest
import torch

from common.domain.parameters import GenerationParameters, Sampler
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing
from tests.unit.gpu_subscriber.engine.stock_oracle import stock_picture

LATENT_TOLERANCE = 2e-4
"""Largest difference of any latent value; the latents themselves have standard deviations around 1."""

SAMPLERS = pytest.mark.parametrize("sampler", list(Sampler))


def largest_difference(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


def assert_is_stock(
    driven: DrivenEngine, family: RecordingFamily, stock: Any, run_id: str, parameters: GenerationParameters
) -> None:
    expected = stock_picture(stock, parameters)
    latents = family.final_latents[parameters.seed]
    assert torch.allclose(latents, expected.latents, rtol=0, atol=LATENT_TOLERANCE)
    assert largest_difference(driven.picture(run_id), expected.pixels) <= 1


@SAMPLERS
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_single_run_equals_the_stock_pipeline(
    driven: DrivenEngine, family: RecordingFamily, stock: Any, sampler: Sampler, steps: int
) -> None:
    parameters = drawing(sampler=sampler, steps=steps, negative_prompt="blurry")
    driven.draw("alone", parameters)
    expected = stock_picture(stock, parameters)
    assert torch.equal(family.final_latents[parameters.seed], expected.latents)
    assert np.array_equal(driven.picture("alone"), expected.pixels)


@pytest.mark.parametrize("guidance_scale", [0.0, 0.5, 1.0, 1.01, 12.5])
def test_guidance_equals_the_stock_pipeline(driven: DrivenEngine, stock: Any, guidance_scale: float) -> None:
    parameters = drawing(guidance_scale=guidance_scale, negative_prompt="a green square")
    driven.draw("guided", parameters)
    assert np.array_equal(driven.picture("guided"), stock_picture(stock, parameters).pixels)


def test_long_prompt_is_truncated_like_the_stock_pipeline(driven: DrivenEngine, stock: Any) -> None:
    parameters = drawing(prompt="fox " * 40, negative_prompt="square " * 40)
    driven.draw("long", parameters)
    assert np.array_equal(driven.picture("long"), stock_picture(stock, parameters).pixels)


def test_non_square_image_equals_the_stock_pipeline(driven: DrivenEngine, stock: Any) -> None:
    parameters = drawing(width=48, height=24)
    driven.draw("wide", parameters)
    assert np.array_equal(driven.picture("wide"), stock_picture(stock, parameters).pixels)


def test_each_image_of_a_task_has_its_own_seed(
    driven: DrivenEngine, family: RecordingFamily, stock: Any
) -> None:
    parameters = drawing(num_images=3, seed=40)
    for index in range(3):
        driven.start(f"image-{index}", parameters, index=index)
    driven.run_to_end()
    assert family.batches == [3] * 4
    for index in range(3):
        expected = stock_picture(stock, parameters, index=index)
        assert largest_difference(driven.picture(f"image-{index}"), expected.pixels) <= 1


def test_mixed_batch_equals_single_runs(driven: DrivenEngine, family: RecordingFamily, stock: Any) -> None:
    """Every sampler at once, with different steps, prompts, guidance and seeds, two of them twice."""
    asked = {
        f"{sampler}-{steps}": drawing(
            sampler=sampler,
            steps=steps,
            seed=100 + number,
            guidance_scale=1.5 + number,
            prompt=f"fox number {number}",
            negative_prompt="blurry" if number % 2 else None,
        )
        for number, (sampler, steps) in enumerate(zip(Sampler, (3, 8, 5, 7, 4, 6, 4, 5, 6), strict=True))
    }
    for run_id, parameters in asked.items():
        driven.start(run_id, parameters)
    driven.run_to_end()
    assert max(family.batches) == 8
    for run_id, parameters in asked.items():
        assert_is_stock(driven, family, stock, run_id, parameters)


@SAMPLERS
def test_joining_run_does_not_change_the_others(
    driven: DrivenEngine, family: RecordingFamily, stock: Any, sampler: Sampler
) -> None:
    early, late = drawing(sampler=sampler, steps=6, seed=1), drawing(sampler=Sampler.DDIM, steps=3, seed=2)
    driven.start("early", early)
    driven.step(2)
    driven.start("late", late)
    driven.step()
    assert driven.steps_of("late") == [1]
    driven.run_to_end()
    assert 2 in family.batches
    assert_is_stock(driven, family, stock, "early", early)
    assert_is_stock(driven, family, stock, "late", late)


def test_guided_and_unguided_runs_do_not_share_steps(
    driven: DrivenEngine, family: RecordingFamily, stock: Any
) -> None:
    guided, plain = drawing(seed=1), drawing(seed=2, guidance_scale=1.0)
    driven.start("guided", guided)
    driven.start("plain", plain)
    driven.run_to_end()
    assert set(family.batches) == {1}
    assert np.array_equal(driven.picture("plain"), stock_picture(stock, plain).pixels)
    assert np.array_equal(driven.picture("guided"), stock_picture(stock, guided).pixels)


def test_channels_last_equals_the_stock_pipeline_within_tolerance(
    stock: Any, stable_diffusion_folder: Any
) -> None:
    """Warm-up may choose either memory format; convolutions then sum in another order."""
    pipeline = type(stock).from_pretrained(stable_diffusion_folder)
    pipeline.unet.to(memory_format=torch.channels_last)
    pipeline.vae.to(memory_format=torch.channels_last)
    family = RecordingFamily(pipeline)
    driven = DrivenEngine(family)
    parameters = drawing(sampler=Sampler.DPMPP_2M, steps=6)
    driven.draw("last", parameters)
    assert_is_stock(driven, family, stock, "last", parameters)

"""Checkpoints with other schedulers, autoencoders and precisions: still the stock pipeline's images."""

from pathlib import Path

import pytest
import torch
from diffusers import (
    ConsistencyDecoderVAE,
    EDMDPMSolverMultistepScheduler,
    FlowMatchEulerDiscreteScheduler,
)

from common.domain.parameters import Sampler
from gpu_subscriber.engine.devices import Device
from tests.unit.gpu_subscriber.engine.families.conftest import ModelOf
from tests.unit.gpu_subscriber.engine.families.family_cases import CASES, Model
from tests.unit.gpu_subscriber.engine.families.schedulers import SCHEDULERS


@pytest.mark.parametrize(
    ("case", "own"),
    [("stable_diffusion", own) for own in SCHEDULERS]
    + [("stable_diffusion_xl", own) for own in ("lightning", "edm", "edm 2m")],
)
def test_each_sampler_over_each_scheduler_equals_the_stock_pipeline(
    loaded_model: ModelOf, case: str, own: str
) -> None:
    model = loaded_model(case).with_parts(scheduler=SCHEDULERS[own])
    assert Sampler.OWN in model.spec.samplers
    for sampler in model.spec.samplers:
        model.assert_bit_equal(model.asked(sampler=sampler, steps=3, negative_prompt="blurry"))


def test_flow_matching_with_beta_sigmas_equals_the_stock_pipeline(loaded_model: ModelOf) -> None:
    model = loaded_model("chroma").with_parts(scheduler=FlowMatchEulerDiscreteScheduler(use_beta_sigmas=True))
    model.assert_bit_equal(model.asked(sampler=Sampler.OWN, steps=3, negative_prompt="blurry"))


def test_consistency_decoder_draws_the_same_image_again(loaded_model: ModelOf) -> None:
    """Its decoder draws noise from the Run's generator, as in the stock call."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vae = ConsistencyDecoderVAE(
            encoder_block_out_channels=(8, 8, 8, 8),
            encoder_down_block_types=("DownEncoderBlock2D",) * 4,
            encoder_layers_per_block=1,
            encoder_norm_num_groups=4,
            decoder_block_out_channels=(32, 32),
            decoder_down_block_types=("ResnetDownsampleBlock2D",) * 2,
            decoder_up_block_types=("ResnetUpsampleBlock2D",) * 2,
            decoder_layers_per_block=1,
            decoder_norm_num_groups=4,
        )
    model = loaded_model("stable_diffusion").with_parts(vae=vae)
    model.assert_bit_equal(model.asked(sampler=Sampler.EULER_ANCESTRAL))


def test_own_mean_and_deviation_of_latents_equal_the_stock_pipeline(loaded_model: ModelOf) -> None:
    """As in Playground 2.5, whose scheduler has no betas."""
    xl = loaded_model("stable_diffusion_xl")
    vae = type(xl.stock.vae)(
        **{**xl.stock.vae.config, "latents_mean": [-1.6, 1.1, 3.4, -0.8], "latents_std": [8.4, 5.9, 6.0, 5.2]}
    )
    vae.load_state_dict(xl.stock.vae.state_dict())
    model = xl.with_parts(vae=vae.eval(), scheduler=EDMDPMSolverMultistepScheduler(solver_order=2))
    model.assert_bit_equal(model.asked())


@pytest.mark.parametrize(
    ("case", "dtype"),
    # SDXL's autoencoder overflows in float16. Processors compute slowly in that precision.
    [*((case, torch.bfloat16) for case in CASES), ("stable_diffusion_xl", torch.float16)],
)
def test_half_precision_equals_the_stock_pipeline(tmp_path: Path, case: str, dtype: torch.dtype) -> None:
    device = Device(torch_device=torch.device("cpu"), dtype=dtype)
    model = Model.loaded(CASES[case], CASES[case].save(tmp_path / "model"), device)
    for sampler in {*model.spec.samplers} & {Sampler.OWN, Sampler.DPMPP_2M}:
        model.assert_bit_equal(model.asked(sampler=sampler, guidance_scale=3.0, negative_prompt="green"))
        model.assert_bit_equal(model.asked(sampler=sampler, guidance_scale=1.0, **model.wide))

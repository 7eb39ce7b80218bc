"""Optional parameters of Stable Diffusion and SDXL: the stock call's images with the same arguments."""

from typing import Any

import pytest
from diffusers import DDIMScheduler

from common.domain.errors import ParametersRejectedError
from common.domain.parameters import Sampler
from tests.unit.gpu_subscriber.engine.families.conftest import ModelOf
from tests.unit.gpu_subscriber.engine.families.family_cases import CASES, Model
from tests.unit.gpu_subscriber.engine.families.schedulers import ZERO_SNR
from tests.unit.gpu_subscriber.engine.families.test_family_oracle import STEP_TOLERANCE, assert_same_picture

each_model = pytest.mark.parametrize(
    "model",
    [
        name
        for name in CASES
        if name in ("stable_diffusion", "stable_diffusion distilled", "stable_diffusion_xl")
    ],
    indirect=True,
)
OPTIONS: list[dict[str, Any]] = [
    {"clip_skip": 1},
    {"clip_skip": 1, "negative_prompt": "blurry"},
    {"guidance_rescale": 0.7},
    {"guidance_rescale": 1.0, "negative_prompt": "blurry"},
    {"eta": 0.3, "sampler": Sampler.DDIM},
    {"eta": 1.0, "sampler": Sampler.DDIM},
    {"clip_skip": 1, "guidance_rescale": 0.4, "eta": 0.5, "sampler": Sampler.DDIM},
]


@each_model
@pytest.mark.parametrize("options", OPTIONS, ids="-".join)
def test_option_equals_the_stock_call(model: Model, options: dict[str, Any]) -> None:
    model.assert_bit_equal(model.asked(steps=5, guidance_scale=6.0, **options))


@each_model
def test_runs_with_different_options_share_steps(model: Model) -> None:
    asked = {
        str(number): model.asked(steps=5, seed=number, guidance_scale=3.0, **options)
        for number, options in enumerate([*OPTIONS, {}])
    }
    driven = model.engine()
    for run_id, parameters in asked.items():
        driven.start(run_id, parameters)
    driven.run_to_end()
    assert set(model.family.batches) == {len(asked)}
    assert model.family.largest_error <= STEP_TOLERANCE
    for run_id, parameters in asked.items():
        assert_same_picture(model, driven, run_id, parameters)


def test_zero_snr_checkpoint_with_rescaled_guidance_equals_the_stock_call(loaded_model: ModelOf) -> None:
    model = loaded_model("stable_diffusion").with_parts(scheduler=DDIMScheduler(**ZERO_SNR))
    model.assert_bit_equal(model.asked(guidance_scale=7.5, guidance_rescale=0.7, sampler=Sampler.OWN))


def test_run_with_noise_in_each_step_resumes_bit_equal(loaded_model: ModelOf) -> None:
    model = loaded_model("stable_diffusion")
    parameters = model.asked(steps=6, eta=1.0, sampler=Sampler.DDIM)
    model.assert_resumes_bit_equal(parameters, after_steps=3)


@each_model
@pytest.mark.parametrize(
    ("fields", "pointer", "detail"),
    [
        ({"clip_skip": 99}, "/clip_skip", "must be between 0 and"),
        ({"guidance_rescale": 2.0}, "/guidance_rescale", ""),
        ({"eta": 0.5, "sampler": Sampler.EULER}, "/eta", "has an effect only with the sampler ddim"),
        ({"eta": 1.5, "sampler": Sampler.DDIM}, "/eta", "must be between 0 and 1"),
    ],
)
def test_value_without_effect_is_refused(
    model: Model, fields: dict[str, Any], pointer: str, detail: str
) -> None:
    with pytest.raises(ParametersRejectedError) as refusal:
        model.spec.completed({"prompt": "a red fox", **fields}, seed=7)
    (problem,) = refusal.value.problems
    assert problem.pointer == pointer
    assert detail in problem.detail

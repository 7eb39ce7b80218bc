"""Runs that start from a picture, with a mask or without: the images of the stock pipelines.

They share steps with text-to-image Runs, so both kinds are in each batch.
"""

from typing import Any

import numpy as np
import pytest
import torch

from common.domain.models.traits import Input
from common.domain.parameters import GenerationParameters, Sampler
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.families.starting_image import StartingImage
from gpu_subscriber.engine.messages import (
    CheckpointRefused,
    ImageReady,
    PreviewReady,
    RunFailed,
    RunInterrupted,
    StepDone,
)
from gpu_subscriber.engine.runs.clean_estimate import clean_estimate
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine
from tests.unit.gpu_subscriber.engine.families.family_cases import CASES, Model
from tests.unit.gpu_subscriber.engine.families.pictures import MASK, OTHER_PICTURE, PICTURE, inputs_of
from tests.unit.gpu_subscriber.engine.families.test_family_oracle import STEP_TOLERANCE
from tests.unit.gpu_subscriber.engine.stock_oracle import largest_difference

STARTING = {name: case for name, case in CASES.items() if Input.IMAGE in case.inputs}
each_starting_case = pytest.mark.parametrize("model", STARTING, indirect=True)
each_starting_sampler = pytest.mark.parametrize(
    ("model", "sampler"),
    [(name, sampler) for name, case in STARTING.items() for sampler in case.samplers],
    indirect=["model"],
)


def asked(model: Model, *, mask: bool = False, strength: float = 0.6, **fields: Any) -> GenerationParameters:
    """Return parameters that start from a picture."""
    image = {
        "image": fields.pop("image", PICTURE),
        "mask_image": MASK if mask else None,
        "strength": strength,
    }
    usual = {"steps": 6, "guidance_scale": 4.0, "negative_prompt": "blurry"}
    return model.asked(**{**usual, **fields}).model_copy(update=image)


def start(driven: DrivenEngine, run_id: str, parameters: GenerationParameters, **more: Any) -> None:
    driven.start(run_id, parameters, inputs=inputs_of(parameters), **more)


# ── alone ────────────────────────────────────────────────────────────────────────────────────────────────


@each_starting_sampler
@pytest.mark.parametrize("mask", [False, True], ids=["image", "mask"])
def test_single_run_equals_the_stock_pipeline(model: Model, sampler: Sampler, mask: bool) -> None:
    # 3.3 steps are rounded to 3 or to 4.
    model.assert_bit_equal(asked(model, sampler=sampler, mask=mask, strength=0.55))


@each_starting_case
@pytest.mark.parametrize("mask", [False, True], ids=["image", "mask"])
def test_largest_and_smallest_strength_equal_the_stock_pipeline(model: Model, mask: bool) -> None:
    unguided = {"guidance_scale": 1.0, **model.wide}
    model.assert_bit_equal(asked(model, sampler=Sampler.OWN, mask=mask, strength=1.0))
    model.assert_bit_equal(asked(model, sampler=Sampler.OWN, mask=mask, strength=0.2, **unguided))


@each_starting_case
def test_parts_outside_the_mask_are_kept(model: Model) -> None:
    parameters = asked(model, mask=True)
    inputs = inputs_of(parameters)
    model.engine().draw("run", parameters, inputs=inputs)
    start = StartingImage.encoded(model.family, parameters, inputs, torch.Generator("cpu").manual_seed(7))
    assert start is not None
    assert start.mask is not None
    found = model.family.final_latents[7]
    assert torch.equal(found[start.mask == 0], start.clean[start.mask == 0])
    assert not torch.isclose(found[start.mask == 1], start.clean[start.mask == 1]).any()


# ── in batches ───────────────────────────────────────────────────────────────────────────────────────────


@each_starting_case
def test_mixed_batch_equals_single_runs(model: Model) -> None:
    """Pictures, masks and text with every sampler; one joins midway, one leaves."""
    offered = model.spec.samplers
    runs = {}
    for number in range(6):
        fields: dict[str, Any] = {"sampler": offered[number % len(offered)], "seed": 100 + number}
        runs[f"text-{number}"] = model.asked(steps=3 + number % 3, guidance_scale=3.0, **fields)
        runs[f"image-{number}"] = asked(model, mask=number % 2 == 1, steps=5 + number, **fields)
    stopped = asked(model, seed=99)
    driven = model.engine(max_batch=16)
    start(driven, "stopped", stopped)
    for run_id, parameters in list(runs.items())[1:]:
        start(driven, run_id, parameters)
    driven.step()
    driven.interrupt("stopped")
    start(driven, "text-0", runs["text-0"])
    driven.run_to_end()
    assert model.family.batches[:2] == [12, 12]
    assert model.family.largest_error <= STEP_TOLERANCE
    for run_id, parameters in runs.items():
        assert largest_difference(driven.picture(run_id), model.drawn_by_stock(parameters).pixels) <= 1


@each_starting_case
def test_progress_counts_the_steps_that_are_left(model: Model) -> None:
    driven = model.engine(preview_interval_seconds=0.0)
    parameters = asked(model, strength=0.5, steps=8)
    driven.draw("run", parameters, inputs=inputs_of(parameters))
    assert [(done.step, done.steps) for done in driven.of_kind(StepDone)] == [
        (step, 4) for step in (1, 2, 3, 4)
    ]
    assert driven.of_kind(PreviewReady)
    assert len(driven.of_kind(ImageReady)[0].draw_conditions.batches) == 4


@each_starting_case
def test_preview_of_the_first_step_removes_the_right_noise(model: Model) -> None:
    """A perfect prediction of the first step leads back to the picture."""
    parameters = asked(model, sampler=Sampler.OWN)
    inputs = inputs_of(parameters)
    state = model.family.prepare(parameters, seed=7, inputs=inputs)
    generator = torch.Generator("cpu").manual_seed(7)
    picture = StartingImage.encoded(model.family, parameters, inputs, generator)
    assert picture is not None
    noise = model.family.noise(parameters, generator, torch.float32)
    kind = state.scheduler.config.get("prediction_type", "flow_prediction")
    if kind == "v_prediction":
        alpha = float(state.scheduler.alphas_cumprod[int(state.timestep)])
        prediction = alpha**0.5 * noise - (1 - alpha) ** 0.5 * picture.clean
    else:
        prediction = noise if kind == "epsilon" else noise - picture.clean
    assert torch.allclose(clean_estimate(state, prediction), picture.clean, atol=1e-3)


# ── failures and checkpoints ─────────────────────────────────────────────────────────────────────────────


@each_starting_sampler
def test_run_with_a_mask_resumes_bit_equal(model: Model, sampler: Sampler) -> None:
    parameters = asked(model, sampler=sampler, mask=True)
    undisturbed = model.engine()
    start(undisturbed, "run", parameters)
    undisturbed.run_to_end()
    first, second = model.engine(), model.engine()
    start(first, "run", parameters)
    first.step(2)
    first.interrupt("run", want_checkpoint=True)
    start(second, "run", parameters, checkpoint=first.of_kind(RunInterrupted)[0].checkpoint)
    second.run_to_end()
    assert second.of_kind(ImageReady)[0].resumed_at_step == 2
    assert np.array_equal(second.picture("run"), undisturbed.picture("run"))


@pytest.mark.parametrize("model", ["stable_diffusion"], indirect=True)
def test_checkpoint_of_another_picture_is_refused(model: Model) -> None:
    first, second = model.engine(), model.engine()
    start(first, "run", asked(model))
    first.step(2)
    first.interrupt("run", want_checkpoint=True)
    checkpoint = first.of_kind(RunInterrupted)[0].checkpoint
    start(second, "run", asked(model, image=OTHER_PICTURE), checkpoint=checkpoint)
    second.run_to_end()
    assert [refused.reason for refused in second.of_kind(CheckpointRefused)] == ["made for another picture"]
    assert second.drawn_runs == ["run"]


@pytest.mark.parametrize("model", ["stable_diffusion"], indirect=True)
def test_run_without_its_picture_fails_alone(model: Model) -> None:
    driven = model.engine()
    driven.start("missing", asked(model))
    start(driven, "whole", asked(model))
    driven.run_to_end()
    assert driven.drawn_runs == ["whole"]
    (failed,) = driven.of_kind(RunFailed)
    assert failed.run_id == "missing"
    assert "`image` was not delivered to the engine" in failed.failure.message


# Chroma's image-to-image call rounds timesteps otherwise than its text-to-image call, Z-Image's the noise.
@pytest.mark.parametrize("case", [name for name in STARTING if name not in ("chroma", "z_image")])
def test_half_precision_equals_the_stock_pipeline(tmp_path: Any, case: str) -> None:
    device = Device(torch_device=torch.device("cpu"), dtype=torch.bfloat16)
    model = Model.loaded(CASES[case], CASES[case].save(tmp_path / "model"), device)
    with torch.inference_mode():
        model.assert_bit_equal(asked(model, sampler=Sampler.OWN))
        model.assert_bit_equal(asked(model, sampler=Sampler.OWN, mask=True))

"""Models whose denoiser reads a picture in each step: the images of their stock pipelines.

UNets for inpainting read the mask and the masked picture beside the latents. Models that edit read
the picture's tokens after those of the latents.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit

from common.domain.errors import ParametersRejectedError
from common.domain.models.traits import Input
from common.domain.parameters import GenerationParameters, Sampler
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.messages import PreviewReady, RunFailed
from gpu_subscriber.engine.tuning.warm_up import default_parameters, warm_up
from tests.unit.gpu_subscriber.engine.driven_engine import CPU
from tests.unit.gpu_subscriber.engine.families.family_cases import PICTURE_CASES, Model
from tests.unit.gpu_subscriber.engine.families.pictures import MASK, OTHER_PICTURE, PICTURE, inputs_of
from tests.unit.gpu_subscriber.engine.families.test_family_oracle import STEP_TOLERANCE
from tests.unit.gpu_subscriber.engine.stock_oracle import largest_difference

INPAINTING = [name for name in PICTURE_CASES if name.endswith("inpainting")]
each_model = pytest.mark.parametrize("model", PICTURE_CASES, indirect=True)
each_inpainting_model = pytest.mark.parametrize("model", INPAINTING, indirect=True)
each_sampler = pytest.mark.parametrize(
    ("model", "sampler"),
    [(name, sampler) for name, case in PICTURE_CASES.items() for sampler in case.samplers],
    indirect=["model"],
)


def asked(model: Model, **fields: Any) -> GenerationParameters:
    """Complete a submission with the pictures that the model takes."""
    pictures: dict[str, Any] = {"image": PICTURE}
    if Input.MASK in model.spec.traits.inputs:
        pictures |= {"mask_image": MASK, "strength": 0.75}
    usual = {"steps": 4, "guidance_scale": 4.0, "negative_prompt": "blurry"}
    return model.asked(**{**usual, **pictures, **fields})


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Qwen-Image-Edit see pictures of about 64 x 64 pixels instead of a megapixel."""
    calculate = pipeline_qwenimage_edit.calculate_dimensions

    def small(_area: int, ratio: float) -> tuple[int, int, None]:
        return calculate(64 * 64, ratio)

    monkeypatch.setattr(pipeline_qwenimage_edit, "calculate_dimensions", small)


@each_sampler
def test_single_run_equals_the_stock_pipeline(model: Model, sampler: Sampler) -> None:
    model.assert_bit_equal(asked(model, sampler=sampler))
    model.assert_bit_equal(asked(model, sampler=sampler, guidance_scale=1.0, **model.wide))


@each_inpainting_model
@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_largest_and_smallest_strength_equal_the_stock_pipeline(model: Model, strength: float) -> None:
    model.assert_bit_equal(asked(model, strength=strength))


@each_model
def test_mixed_batch_equals_single_runs(model: Model) -> None:
    """Different samplers, pictures, steps and prompts; one joins midway, one leaves."""
    offered = model.spec.samplers
    runs = {
        f"run-{number}": asked(
            model,
            sampler=offered[number % len(offered)],
            steps=4 + number % 2,
            seed=100 + number,
            guidance_scale=3.0 + number,
            prompt="fox " * (number + 1),
            image=(PICTURE, OTHER_PICTURE)[number % 2],
        )
        for number in range(4)
    }
    driven = model.engine()
    driven.start("stopped", asked(model, seed=99), inputs=inputs_of(asked(model)))
    for run_id, parameters in runs.items():
        if run_id == "run-3":
            driven.step()
            driven.interrupt("stopped")
        driven.start(run_id, parameters, inputs=inputs_of(parameters))
    driven.run_to_end()
    assert model.family.batches[:2] == [4, 4]
    assert model.family.largest_error <= STEP_TOLERANCE
    for run_id, parameters in runs.items():
        assert largest_difference(driven.picture(run_id), model.drawn_by_stock(parameters).pixels) <= 1


@each_model
def test_run_resumes_bit_equal(model: Model) -> None:
    """With samplers that keep a history or draw noise, where the model has such ones."""
    for sampler in {Sampler.EULER_ANCESTRAL, Sampler.UNIPC} & set(model.spec.samplers):
        model.assert_resumes_bit_equal(asked(model, sampler=sampler), after_steps=2)


@each_model
def test_every_picture_changes_the_image(model: Model) -> None:
    def drawn(**fields: Any) -> bytes:
        driven = model.engine(preview_interval_seconds=0.0)
        parameters = asked(model, **fields)
        driven.draw("run", parameters, inputs=inputs_of(parameters))
        assert driven.of_kind(PreviewReady)
        return driven.picture("run").tobytes()

    assert len({drawn(), drawn(image=OTHER_PICTURE), drawn(prompt="a blue fox")}) == 3


@pytest.mark.parametrize("model", ["stable_diffusion inpainting"], indirect=True)
def test_warm_up_generates_with_the_required_pictures(model: Model) -> None:
    parameters = default_parameters(model.spec)
    assert set(parameters.inputs) == {"image", "mask_image"}
    caps = BatchCaps(max_batch=2)
    assert warm_up(model.family, model.spec, CPU, caps, measure=True) is not None
    assert caps.cap_of(BatchKey.of(parameters)) >= 1


@each_inpainting_model
def test_inpainting_model_requires_picture_and_mask(model: Model) -> None:
    assert model.spec.traits.required_inputs == (Input.IMAGE, Input.MASK)
    with pytest.raises(ParametersRejectedError) as refused:
        model.spec.completed({"prompt": "a red fox"}, seed=7)
    assert [problem.pointer for problem in refused.value.problems] == ["/image", "/mask_image"]
    driven = model.engine()
    driven.draw("missing", asked(model))
    (failed,) = driven.of_kind(RunFailed)
    assert "`image` was not delivered to the engine" in failed.failure.message


@pytest.mark.parametrize("model", ["flux_kontext"], indirect=True)
def test_text_alone_equals_the_stock_pipeline_and_has_a_key_of_its_own(model: Model) -> None:
    text, edit = model.asked(steps=3), asked(model, steps=3)
    model.assert_bit_equal(text)
    driven = model.engine()
    driven.start("text", text)
    driven.start("edit", edit, inputs=inputs_of(edit))
    driven.run_to_end()
    assert set(model.family.batches) == {1}
    assert BatchKey.of(edit).row_pixels == 2 * BatchKey.of(text).row_pixels


@pytest.mark.parametrize("name", INPAINTING)
def test_folder_of_an_inpainting_pipeline_is_loaded(tmp_path: Path, name: str) -> None:
    case = PICTURE_CASES[name]
    folder = case.save(tmp_path / "model")
    index = json.loads((folder / "model_index.json").read_text())
    class_name = index["_class_name"].replace("Pipeline", "InpaintPipeline")
    (folder / "model_index.json").write_text(json.dumps({**index, "_class_name": class_name}))
    model = Model.loaded(case, folder)
    assert model.spec.traits.required_inputs == (Input.IMAGE, Input.MASK)
    with torch.inference_mode():
        model.assert_bit_equal(asked(model, steps=2))

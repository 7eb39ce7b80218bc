"""Tasks that start from a picture: which models take one, and how many steps are computed."""

from typing import Any

import pytest
from pydantic import ValidationError

from common.domain.errors import ParametersRejectedError
from common.domain.models.catalog import DEMO_MODEL
from common.domain.models.traits import Input, ModelTraits
from common.domain.parameters import GenerationParameters
from tests.factories import parameters, submitted_task

PICTURE, MASK = "ab" * 32, "cd" * 32
TAKES_TEXT = DEMO_MODEL.model_copy(update={"traits": ModelTraits()})
TAKES_IMAGE = DEMO_MODEL.model_copy(update={"traits": ModelTraits(inputs=("text", "image"))})
TAKES_MASK = DEMO_MODEL.model_copy(update={"traits": ModelTraits(inputs=("text", "image", "mask"))})
NEEDS_MASK = DEMO_MODEL.model_copy(
    update={"traits": ModelTraits(inputs=("text", "image", "mask"), required_inputs=("image", "mask"))}
)
EDITS = DEMO_MODEL.model_copy(update={"traits": ModelTraits(inputs=("text", "image"), strength=False)})


def completed(**asked: Any) -> GenerationParameters:
    return TAKES_MASK.completed({"prompt": "a fox", **asked}, seed=1)


@pytest.mark.parametrize(
    ("model", "asked", "pointer", "detail"),
    [
        (TAKES_TEXT, {"image": PICTURE}, "/image", "is not an input of this model, which takes text"),
        (
            TAKES_IMAGE,
            {"image": PICTURE, "mask_image": MASK},
            "/mask_image",
            "is not an input of this model, which takes text, image",
        ),
        (TAKES_MASK, {"mask_image": MASK}, "/mask_image", "needs `image`"),
        (
            NEEDS_MASK,
            {"image": PICTURE},
            "/mask_image",
            "is required: this model needs `image` and `mask_image`; upload",
        ),
        (EDITS, {"image": PICTURE, "strength": 0.5}, "/strength", "has no effect on this model"),
        (TAKES_MASK, {"strength": 0.5}, "/strength", "needs `image`"),
        (TAKES_MASK, {"image": PICTURE, "strength": 0.0}, "/strength", "must be above 0 and at most 1"),
        (TAKES_MASK, {"image": PICTURE, "strength": 1.5}, "/strength", "must be above 0 and at most 1"),
        (TAKES_MASK, {"image": PICTURE, "strength": float("nan")}, "/strength", "must be above 0"),
        (
            TAKES_MASK,
            {"image": PICTURE, "strength": 0.2, "steps": 4},
            "/strength",
            "leaves none of the 4 steps, got 0.2; it must be at least 1 / `steps`",
        ),
    ],
)
def test_unusable_input_is_refused_at_its_pointer(
    model: Any, asked: dict[str, Any], pointer: str, detail: str
) -> None:
    with pytest.raises(ParametersRejectedError) as refused:
        model.completed({"prompt": "a fox", **asked}, seed=1)
    (problem,) = refused.value.problems
    assert problem.pointer == pointer
    assert problem.detail.startswith(detail)


def test_strength_has_a_default_only_with_an_image() -> None:
    assert completed(image=PICTURE).strength == 0.8
    assert completed().strength is None


def test_document_without_an_image_has_none_of_its_fields() -> None:
    assert {"image", "mask_image", "strength"}.isdisjoint(completed().model_dump())
    stored = completed(image=PICTURE, mask_image=MASK).model_dump(mode="json")
    assert GenerationParameters.model_validate(stored) == completed(image=PICTURE, mask_image=MASK)


@pytest.mark.parametrize(
    ("steps", "strength", "computed"), [(10, 0.55, 5), (10, 1.0, 10), (4, 0.25, 1), (10, None, 8)]
)
def test_only_a_share_of_the_steps_is_computed(steps: int, strength: float | None, computed: int) -> None:
    asked = completed(image=PICTURE, steps=steps, strength=strength)
    same = completed(steps=computed)
    assert (asked.computed_steps, asked.work_units) == (computed, same.work_units)


def test_progress_counts_the_computed_steps() -> None:
    asked = parameters(steps=20).model_copy(update={"image": PICTURE, "strength": 0.5})
    assert submitted_task(parameters=asked).progress.steps == 10


@pytest.mark.parametrize("inputs", [(Input.TEXT, Input.MASK), (Input.IMAGE,)])
def test_incomplete_inputs_of_a_model_are_rejected(inputs: tuple[Input, ...]) -> None:
    with pytest.raises(ValidationError, match="inputs must contain"):
        ModelTraits(inputs=inputs)


def test_invalid_picture_id_is_rejected() -> None:
    with pytest.raises(ValidationError, match="image"):
        completed(image="../other")


def test_text_alone_is_refused_where_pictures_are_required() -> None:
    with pytest.raises(ParametersRejectedError) as refused:
        NEEDS_MASK.completed({"prompt": "a fox"}, seed=1)
    assert [problem.pointer for problem in refused.value.problems] == ["/image", "/mask_image"]


def test_defaults_of_a_model_contain_the_required_pictures() -> None:
    assert set(NEEDS_MASK.defaulted(prompt="x", seed=1).inputs) == {"image", "mask_image"}
    assert not EDITS.defaulted(prompt="x", seed=1).inputs


def test_edited_picture_doubles_the_work_of_each_step() -> None:
    edit = EDITS.completed({"prompt": "a fox", "image": PICTURE}, seed=1)
    text = EDITS.completed({"prompt": "a fox"}, seed=1)
    assert (edit.strength, edit.computed_steps) == (None, text.steps)
    assert edit.pass_pixels == 2 * text.pass_pixels
    assert edit.work_units - text.work_units == pytest.approx(
        text.steps * text.passes_per_step * text.width * text.height / 1e6
    )


def test_required_inputs_must_be_inputs() -> None:
    with pytest.raises(ValidationError, match="inputs must contain what required_inputs names: mask"):
        ModelTraits(inputs=("text", "image"), required_inputs=("image", "mask"))

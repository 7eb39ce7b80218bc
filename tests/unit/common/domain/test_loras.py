"""LoRAs of a model's entry, and a task's choice of them."""

from typing import Any

import pytest
from pydantic import ValidationError

from common.domain.errors import FieldProblem, ParametersRejectedError
from common.domain.models.spec import ModelSpec
from common.domain.parameters import GenerationParameters

PIXEL_ART = {"name": "pixel-art", "source": "pixel-art.safetensors"}
DETAIL = {"name": "detail", "source": "detail.safetensors", "scale": 0.5, "max_scale": 1.0}


def spec(*loras: dict[str, Any], **fields: Any) -> ModelSpec:
    entry = {"name": "tiny", "title": "Tiny", "family": "stable_diffusion", "source": "tiny", **fields}
    return ModelSpec.model_validate({**entry, "loras": loras})


def problems_of(loras: list[dict[str, Any]], *offered: dict[str, Any]) -> tuple[FieldProblem, ...]:
    with pytest.raises(ParametersRejectedError) as refused:
        spec(*offered).completed({"prompt": "a fox", "loras": loras}, seed=1)
    return refused.value.problems


def test_omitted_scale_is_that_of_the_entry() -> None:
    chosen = [{"name": "pixel-art"}, {"name": "detail", "scale": None}]
    completed = spec(PIXEL_ART, DETAIL).completed({"prompt": "a fox", "loras": chosen}, seed=1)
    assert [(lora.name, lora.scale) for lora in completed.loras] == [("pixel-art", 1.0), ("detail", 0.5)]


def test_parameters_without_loras_are_stored_as_before() -> None:
    omitted: tuple[dict[str, Any], ...] = ({}, {"loras": []}, {"loras": None})
    for asked in omitted:
        completed = spec(PIXEL_ART).completed({"prompt": "a fox", **asked}, seed=1)
        assert "loras" not in completed.model_dump(mode="json")


def test_stored_parameters_keep_their_loras() -> None:
    completed = spec(PIXEL_ART).completed({"prompt": "a fox", "loras": [{"name": "pixel-art"}]}, seed=1)
    assert GenerationParameters.model_validate_json(completed.model_dump_json()) == completed


@pytest.mark.parametrize(
    ("chosen", "pointer", "detail"),
    [
        ([{"name": "ink"}], "/loras/0/name", "must be one of pixel-art, detail; got 'ink'"),
        ([{"name": "pixel-art"}] * 2, "/loras/1/name", "'pixel-art' is listed twice; list it once"),
        ([{"name": "detail", "scale": 1.5}], "/loras/0/scale", "must be between -2.0 and 1.0, got 1.5"),
        (
            [{"name": "detail", "scale": float("nan")}],
            "/loras/0/scale",
            "must be between -2.0 and 1.0, got nan",
        ),
        ([{"name": "detail"}] * 5, "/loras", "must have at most 4 entries, got 5"),
    ],
)
def test_refusal_names_the_choice(chosen: list[dict[str, Any]], pointer: str, detail: str) -> None:
    assert problems_of(chosen, PIXEL_ART, DETAIL) == (FieldProblem(pointer, detail),)


def test_model_without_loras_refuses_them() -> None:
    (problem,) = problems_of([{"name": "pixel-art"}])
    assert problem == FieldProblem("/loras", "has no effect: this model has no LoRAs; leave it out")


@pytest.mark.parametrize(
    ("lora", "reason"),
    [
        ({"source": "a.ckpt"}, "must be a .safetensors file"),
        ({"source": "https://example.com/a"}, "must be a .safetensors file"),
        ({"scale": 3.0}, "`scale` must be between -2.0 and 2.0, got 3.0"),
        ({"min_scale": -11.0}, "greater than or equal to -10"),
        ({"name": "Pixel Art"}, "should match pattern"),
    ],
)
def test_invalid_entry_is_refused(lora: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        spec({**PIXEL_ART, **lora})


def test_two_loras_of_one_name_are_refused() -> None:
    with pytest.raises(ValidationError, match="two LoRAs of model 'tiny' share one name"):
        spec(PIXEL_ART, PIXEL_ART)


def test_whole_pipeline_takes_no_loras() -> None:
    with pytest.raises(ValidationError, match="the family 'whole_pipeline' applies none"):
        spec(PIXEL_ART, family="whole_pipeline")

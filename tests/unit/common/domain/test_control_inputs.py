"""Control images, control networks and their scale: what a model accepts."""

from typing import Any

import pytest
from pydantic import ValidationError

from common.domain.errors import ParametersRejectedError
from common.domain.models.catalog import ModelSpec
from common.domain.models.traits import Input
from common.domain.parameters import GenerationParameters

PICTURE = f"{1:064x}"


def model(*names: str, family: str = "stable_diffusion", **fields: Any) -> ModelSpec:
    networks = [{"name": name, "title": name.title(), "source": f"/weights/{name}"} for name in names]
    return ModelSpec(name="m", title="", family=family, source="x", controlnets=networks, **fields)


def completed(spec: ModelSpec, **fields: Any) -> GenerationParameters:
    return spec.completed({"prompt": "a red circle", **fields}, seed=7)


def refused(spec: ModelSpec, **fields: Any) -> dict[str, str]:
    with pytest.raises(ParametersRejectedError) as refusal:
        completed(spec, **fields)
    return {problem.pointer: problem.detail for problem in refusal.value.problems}


def test_only_control_network_is_the_default() -> None:
    parameters = completed(model("edges"), control_image=PICTURE)
    assert (parameters.controlnet, parameters.control_scale) == ("edges", 1.0)
    assert parameters.inputs == {"control_image": PICTURE}


def test_task_without_control_image_states_no_control_network() -> None:
    stored = completed(model("edges")).model_dump()
    assert not {"control_image", "controlnet", "control_scale"} & set(stored)


def test_one_of_several_control_networks_must_be_named() -> None:
    spec = model("edges", "depth")
    assert refused(spec, control_image=PICTURE) == {"/controlnet": "must be one of edges, depth"}
    assert completed(spec, control_image=PICTURE, controlnet="depth").controlnet == "depth"
    assert set(refused(spec, control_image=PICTURE, controlnet="pose")) == {"/controlnet"}


@pytest.mark.parametrize("scale", [-0.1, 2.1, float("nan")])
def test_scale_has_bounds(scale: float) -> None:
    assert set(refused(model("edges"), control_image=PICTURE, control_scale=scale)) == {"/control_scale"}


@pytest.mark.parametrize("fields", [{"controlnet": "edges"}, {"control_scale": 0.5}])
def test_fields_of_a_control_image_need_one(fields: dict[str, Any]) -> None:
    (detail,) = refused(model("edges"), **fields).values()
    assert detail == "needs `control_image`; add it, or leave this out"


def test_model_without_control_networks_takes_no_control_image() -> None:
    spec = model()
    assert refused(spec, control_image=PICTURE) == {
        "/control_image": "is not an input of this model, which takes text; leave it out"
    }
    assert Input.CONTROL not in spec.inputs
    assert model("edges").inputs == (Input.TEXT, Input.CONTROL)


def test_entry_with_unsupported_or_ambiguous_control_networks_is_refused() -> None:
    for fields in ({"family": "sana"}, {"family": "whole_pipeline"}):
        with pytest.raises(ValidationError, match="takes no control networks"):
            model("edges", **fields)
    with pytest.raises(ValidationError, match="two of them share one name"):
        model("edges", "edges")

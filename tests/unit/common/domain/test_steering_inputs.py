"""Control images and reference pictures, their weights and scales: what a model accepts."""

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from common.domain.errors import ParametersRejectedError
from common.domain.models.spec import ModelSpec
from common.domain.models.traits import Adapter, Input
from common.domain.parameters import GenerationParameters

PICTURE = f"{1:064x}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """The names of the parameters, and of the entry's field."""

    picture: str
    weights: str
    scale: str
    usual: float
    field: str
    kind: Input

    def model(self, *names: str, family: str = "stable_diffusion", **fields: Any) -> ModelSpec:
        more = {"image_encoder": "owner/clip"} if self.field == "ip_adapters" else {}
        weights = [
            {"name": name, "title": name.title(), "source": f"/weights/{name}.safetensors", **more}
            for name in names
        ]
        return ModelSpec(name="m", title="", family=family, source="x", **{self.field: weights}, **fields)


CONTROL = Steering(
    picture="control_image",
    weights="controlnet",
    scale="control_scale",
    usual=1.0,
    field="controlnets",
    kind=Input.CONTROL,
)
REFERENCE = Steering(
    picture="reference_image",
    weights="ip_adapter",
    scale="reference_scale",
    usual=0.6,
    field="ip_adapters",
    kind=Input.REFERENCE,
)
each_kind = pytest.mark.parametrize("kind", [CONTROL, REFERENCE], ids=lambda kind: str(kind.kind))


def completed(spec: ModelSpec, **fields: Any) -> GenerationParameters:
    return spec.completed({"prompt": "a red circle", **fields}, seed=7)


def refused(spec: ModelSpec, **fields: Any) -> dict[str, str]:
    with pytest.raises(ParametersRejectedError) as refusal:
        completed(spec, **fields)
    return {problem.pointer: problem.detail for problem in refusal.value.problems}


@each_kind
def test_only_weights_on_offer_are_the_default(kind: Steering) -> None:
    parameters = completed(kind.model("edges"), **{kind.picture: PICTURE})
    assert (getattr(parameters, kind.weights), getattr(parameters, kind.scale)) == ("edges", kind.usual)
    assert parameters.inputs == {kind.picture: PICTURE}


@each_kind
def test_task_without_the_picture_states_no_weights(kind: Steering) -> None:
    stored = completed(kind.model("edges")).model_dump()
    assert not {kind.picture, kind.weights, kind.scale} & set(stored)


@each_kind
def test_one_of_several_weights_must_be_named(kind: Steering) -> None:
    spec, picture = kind.model("edges", "depth"), {kind.picture: PICTURE}
    assert refused(spec, **picture) == {f"/{kind.weights}": "must be one of edges, depth"}
    assert getattr(completed(spec, **picture, **{kind.weights: "depth"}), kind.weights) == "depth"
    assert set(refused(spec, **picture, **{kind.weights: "pose"})) == {f"/{kind.weights}"}


@each_kind
@pytest.mark.parametrize("scale", [-0.1, 2.1, float("nan")])
def test_scale_has_bounds(kind: Steering, scale: float) -> None:
    found = refused(kind.model("edges"), **{kind.picture: PICTURE, kind.scale: scale})
    assert set(found) == {f"/{kind.scale}"}


@each_kind
def test_weights_and_scale_need_the_picture(kind: Steering) -> None:
    for fields in ({kind.weights: "edges"}, {kind.scale: 0.5}):
        (detail,) = refused(kind.model("edges"), **fields).values()
        assert detail == f"needs `{kind.picture}`; add it, or leave this out"


@each_kind
def test_model_without_weights_takes_no_such_picture(kind: Steering) -> None:
    spec = kind.model()
    assert refused(spec, **{kind.picture: PICTURE}) == {
        f"/{kind.picture}": "is not an input of this model, which takes text; leave it out"
    }
    assert kind.kind not in spec.inputs
    assert kind.model("edges").inputs == (Input.TEXT, kind.kind)


@each_kind
def test_entry_with_unsupported_or_ambiguous_weights_is_refused(kind: Steering) -> None:
    for family in ("sana", "whole_pipeline"):
        with pytest.raises(ValidationError, match="takes no"):
            kind.model("edges", family=family)
    with pytest.raises(ValidationError, match=f"{kind.field}: two of them share one name"):
        kind.model("edges", "edges")


def test_adapters_are_named_by_their_kinds() -> None:
    assert CONTROL.model("edges").adapters == ()
    assert REFERENCE.model("edges").adapters == (Adapter.IP_ADAPTER,)


def test_ip_adapter_of_another_format_is_refused() -> None:
    entry = {"name": "style", "source": "style.bin", "image_encoder": "owner/clip"}
    with pytest.raises(ValidationError, match=r"must be a \.safetensors file"):
        ModelSpec(name="m", title="", family="stable_diffusion", source="x", ip_adapters=[entry])

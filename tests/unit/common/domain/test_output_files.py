"""The fields that choose how image files are written."""

from typing import Any

import pytest

from common.domain.errors import ParametersRejectedError
from common.domain.models.catalog import DEMO_MODEL
from common.domain.models.limits import ModelDefaults
from common.domain.parameters import GenerationParameters, Metadata, OutputFormat
from tests.factories import parameters


def completed(**asked: Any) -> GenerationParameters:
    return DEMO_MODEL.completed({"prompt": "a fox", **asked}, seed=1)


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        ({}, "has no effect on png files; leave it out, or choose jpeg, webp, avif"),
        ({"output_format": OutputFormat.PNG}, "has no effect on png files; leave it out"),
        ({"output_format": OutputFormat.JPEG, "output_quality": 0}, "must be between 1 and 100, got 0"),
        ({"output_format": OutputFormat.AVIF, "output_quality": 101}, "must be between 1 and 100, got 101"),
    ],
)
def test_output_quality_is_refused_without_effect_or_outside_its_limits(
    asked: dict[str, Any], detail: str
) -> None:
    with pytest.raises(ParametersRejectedError) as refused:
        completed(**{"output_quality": 80, **asked})
    (problem,) = refused.value.problems
    assert problem.pointer == "/output_quality"
    assert problem.detail.startswith(detail)


def test_metadata_default_of_the_model_applies_unless_the_caller_chooses() -> None:
    spec = DEMO_MODEL.model_copy(update={"defaults": ModelDefaults(metadata=Metadata.NONE)})
    assert spec.completed({"prompt": "a fox"}, seed=1).metadata is Metadata.NONE
    assert spec.completed({"prompt": "a fox", "metadata": Metadata.FULL}, seed=1).metadata is Metadata.FULL
    assert completed().metadata is Metadata.FULL


def test_stored_parameters_omit_the_defaults_of_files() -> None:
    plain = parameters()
    assert not {"output_quality", "metadata"} & plain.model_dump(mode="json").keys()
    chosen = parameters(output_format="webp", output_quality=80, metadata="none")
    stored = chosen.model_dump(mode="json")
    assert (stored["output_quality"], stored["metadata"]) == (80, "none")
    assert GenerationParameters.model_validate(stored) == chosen

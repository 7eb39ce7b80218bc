"""The parameters that a model accepts, and its errors for the others."""

from typing import Any

import pytest
from pydantic import ValidationError

from common.domain.errors import ParametersRejectedError, UnknownModelError
from common.domain.models.catalog import DEMO_MODEL, EMBEDDED_CATALOG, ModelCatalog
from common.domain.models.limits import ModelDefaults, ModelLimits
from common.domain.models.spec import ModelSpec
from common.domain.models.traits import Guidance, ModelTraits
from common.domain.parameters import MAX_SEED, Sampler


def completed(**asked: Any) -> Any:
    return DEMO_MODEL.completed({"prompt": "a red circle", **asked}, seed=7)


def test_omitted_parameters_get_the_models_defaults() -> None:
    parameters = completed(width=None)
    defaults = DEMO_MODEL.defaults
    assert (parameters.steps, parameters.width, parameters.sampler) == (
        defaults.steps,
        defaults.width,
        defaults.sampler,
    )
    assert (parameters.model, parameters.seed) == ("demo", 7)


def test_given_parameters_override_defaults() -> None:
    parameters = completed(steps=5, seed=0, sampler=Sampler.EULER, guidance_scale=0.0)
    assert (parameters.steps, parameters.seed, parameters.sampler, parameters.guidance_scale) == (
        5,
        0,
        "euler",
        0,
    )


@pytest.mark.parametrize(
    ("asked", "pointer", "detail"),
    [
        ({"steps": 5000}, "/steps", "must be between 1 and 100, got 5000"),
        ({"steps": 0}, "/steps", "must be between 1 and 100, got 0"),
        ({"width": 1024}, "/width", "must be between 64 and 512 pixels, got 1024"),
        ({"height": 100}, "/height", "must be a multiple of 64, got 100"),
        ({"num_images": 5}, "/num_images", "must be between 1 and 4, got 5"),
        ({"guidance_scale": 21.0}, "/guidance_scale", "must be between 0.0 and 20.0, got 21.0"),
        ({"guidance_scale": float("nan")}, "/guidance_scale", "must be between 0.0 and 20.0, got nan"),
        (
            {"seed": MAX_SEED + 1},
            "/seed",
            f"must be between 0 and {MAX_SEED}, got {MAX_SEED + 1}; leave it out for a random seed",
        ),
        ({"prompt": ""}, "/prompt", "must be between 1 and 2000 characters, got 0"),
        ({"prompt": "x" * 2001}, "/prompt", "must be between 1 and 2000 characters, got 2001"),
        (
            {"negative_prompt": "x" * 2001},
            "/negative_prompt",
            "must be between 0 and 2000 characters, got 2001",
        ),
    ],
)
def test_rejection_names_the_field_and_the_limit(asked: dict[str, Any], pointer: str, detail: str) -> None:
    with pytest.raises(ParametersRejectedError) as refused:
        completed(**asked)
    assert [(problem.pointer, problem.detail) for problem in refused.value.problems] == [(pointer, detail)]


def test_rejection_names_every_invalid_field() -> None:
    with pytest.raises(ParametersRejectedError, match="2 fields are outside") as refused:
        completed(steps=5000, width=100)
    assert [problem.pointer for problem in refused.value.problems] == ["/steps", "/width"]


def test_rejection_names_the_unknown_sampler() -> None:
    spec = DEMO_MODEL.model_copy(update={"samplers": (Sampler.DDIM, Sampler.EULER)})
    with pytest.raises(ParametersRejectedError) as refused:
        spec.completed({"prompt": "x", "sampler": Sampler.LCM}, seed=1)
    assert refused.value.problems[0].detail == "must be one of ddim, euler; got 'lcm'"


def test_catalog_rejects_defaults_outside_the_limits() -> None:
    with pytest.raises(ValidationError, match="defaults of model 'tiny'"):
        ModelSpec(
            name="tiny",
            title="Tiny",
            family="stable_diffusion",
            source="somewhere",
            limits=ModelLimits(max_steps=10),
            defaults=ModelDefaults(steps=30),
        )


def test_unknown_model_error_lists_the_offered_models() -> None:
    with pytest.raises(UnknownModelError, match="model 'dall-e' does not exist; available models: demo"):
        EMBEDDED_CATALOG.get("dall-e")
    assert EMBEDDED_CATALOG.get("demo") is EMBEDDED_CATALOG.default


def test_catalog_rejects_duplicate_names() -> None:
    with pytest.raises(ValidationError, match="share one name"):
        ModelCatalog(models=(DEMO_MODEL, DEMO_MODEL))


def test_seed_of_image_k_is_seed_plus_k_with_wraparound() -> None:
    assert completed(seed=10).seed_of(3) == 13
    assert completed(seed=MAX_SEED).seed_of(1) == 0


# ── traits ───────────────────────────────────────────────────────────────────────────────────────────────


def unguided(**fields: Any) -> ModelSpec:
    return ModelSpec(
        name="schnell",
        title="Schnell",
        family="whole_pipeline",
        source="somewhere",
        samplers=(Sampler.OWN,),
        traits=ModelTraits(guidance=Guidance.NONE, negative_prompt=False),
        **fields,
    )


def test_defaults_omit_parameters_without_effect() -> None:
    parameters = unguided().completed({"prompt": "a fox"}, seed=1)
    assert (parameters.sampler, parameters.guidance_scale) == ("own", 1.0)
    assert (parameters.guidance, parameters.negative_prompt) == (Guidance.NONE, None)
    assert parameters.passes_per_step == 1


@pytest.mark.parametrize(
    ("asked", "pointer"),
    [
        ({"guidance_scale": 5.0}, "/guidance_scale"),
        ({"negative_prompt": "blurry"}, "/negative_prompt"),
        ({"sampler": Sampler.EULER}, "/sampler"),
    ],
)
def test_parameter_without_effect_is_refused_at_its_pointer(asked: dict[str, Any], pointer: str) -> None:
    with pytest.raises(ParametersRejectedError) as refused:
        unguided().completed({"prompt": "a fox", **asked}, seed=1)
    assert [problem.pointer for problem in refused.value.problems] == [pointer]


def test_neutral_values_without_effect_are_accepted() -> None:
    silent = unguided().completed({"prompt": "a fox"}, seed=1)
    same = {"prompt": "a fox", "guidance_scale": 1.0, "negative_prompt": "", "sampler": Sampler.OWN}
    assert unguided().completed(same, seed=1) == silent


def test_catalog_rejects_guidance_default_without_guidance() -> None:
    with pytest.raises(ValidationError, match="/guidance_scale has no effect"):
        unguided(defaults={"guidance_scale": 7.5})


def test_embedded_guidance_takes_one_pass_at_any_scale() -> None:
    spec = ModelSpec.model_validate(
        {
            "name": "dev",
            "title": "Dev",
            "family": "whole_pipeline",
            "source": "somewhere",
            "samplers": ["own"],
            "traits": {"guidance": "embedded", "negative_prompt": False},
        }
    )
    passes = {
        spec.completed({"prompt": "x", "guidance_scale": scale}, seed=1).passes_per_step
        for scale in (0.0, 7.0)
    }
    assert passes == {1}


def test_catalog_rejects_negative_prompts_without_cfg() -> None:
    with pytest.raises(ValidationError, match="negative_prompt must be false"):
        ModelTraits(guidance=Guidance.EMBEDDED)

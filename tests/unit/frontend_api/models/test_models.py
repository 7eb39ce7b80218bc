"""GET /v1/models states what each family takes, and submissions are refused by the same facts."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from common.catalog_file import parse_catalog
from common.domain.models.catalog import DEMO_MODEL, ModelCatalog
from common.domain.models.families import FAMILIES, WHOLE_PIPELINE
from common.domain.models.model_files import ModelExample
from common.domain.models.spec import ModelSpec
from common.domain.worker_report import ModelTimes
from frontend_api.adapters.prompt_tokenizers import with_prompt_limits
from tests.factories import worker_report
from tests.pictures import png
from tests.unit.frontend_api.conftest import Api

_UNGUIDED = {"guidance": "none", "negative_prompt": False}
_STATED: dict[str, dict[str, Any]] = {
    "flux": {"traits": {"guidance": "embedded", "negative_prompt": False}},
    "flux_2_klein": {"traits": _UNGUIDED},
    WHOLE_PIPELINE: {"samplers": ["own"], "traits": _UNGUIDED, "limits": {"side_multiple": 16}},
}
"""What the entries must state, since the API reads no folder here."""


@pytest.fixture
def api(tmp_path: Path) -> Api:
    entries = [
        {"name": family, "title": "", "family": family, "source": "owner/name", **_STATED.get(family, {})}
        for family in FAMILIES
    ]
    catalog = parse_catalog(json.dumps({"models": entries}).encode(), beside=tmp_path)
    return Api(folder=tmp_path, catalog=with_prompt_limits(catalog))


def models(api: Api) -> dict[str, dict[str, Any]]:
    return {model["name"]: model for model in api.client.get("/v1/models").get_json()["models"]}


def test_models_state_what_each_family_takes(api: Api) -> None:
    stated = {
        name: (model["traits"]["guidance"], model["limits"]["side_multiple"], model["max_prompt_tokens"])
        for name, model in models(api).items()
    }
    assert stated == {
        "stable_diffusion": ("classifier_free", 8, None),
        "stable_diffusion_xl": ("classifier_free", 8, None),
        "stable_diffusion_3": ("classifier_free", 16, 255),
        "flux": ("embedded", 16, 511),
        "flux_kontext": ("embedded", 16, 511),
        "chroma": ("classifier_free", 16, 511),
        "flux_2_klein": ("none", 16, 509),
        "qwen_image": ("classifier_free", 16, 512),
        "qwen_image_edit": ("classifier_free", 16, None),
        "z_image": ("classifier_free", 16, 509),
        "sana": ("classifier_free", 32, 298),
        "lumina_2": ("classifier_free", 16, None),
        "whole_pipeline": ("none", 16, None),
    }


def test_only_whole_pipelines_share_no_steps(api: Api) -> None:
    assert [name for name, model in models(api).items() if not model["shares_steps"]] == [WHOLE_PIPELINE]


@pytest.mark.parametrize("family", FAMILIES)
def test_model_states_its_inputs_and_no_adapters(api: Api, family: str) -> None:
    model = api.client.get(f"/v1/models/{family}").get_json()
    inputs = ["text", "image", "mask"]
    if family in ("flux_2_klein", "sana", "lumina_2", WHOLE_PIPELINE):
        inputs = ["text"]
    if family in ("flux_kontext", "qwen_image_edit"):
        inputs = ["text", "image"]
    assert model["inputs"] == inputs
    assert model["adapters"] == []


@pytest.mark.parametrize("family", FAMILIES)
def test_submission_is_refused_by_what_the_model_states(api: Api, family: str) -> None:
    model = models(api)[family]
    refused: dict[str, Any] = {
        "steps": model["limits"]["min_steps"] - 1,
        "width": model["limits"]["min_side"] + model["limits"]["side_multiple"] // 2,
    }
    if unknown := {"flow_euler", "ddim"} - set(model["samplers"]):
        refused["sampler"] = min(unknown)
    if model["traits"]["guidance"] == "none":
        refused["guidance_scale"] = 5.0
    if not model["traits"]["negative_prompt"]:
        refused["negative_prompt"] = "blurry"
    if "required_inputs" in model["traits"]:
        refused["image"] = None
    answer = api.submit(model=family, **refused)
    assert answer.status_code == 422
    pointers = {problem["pointer"] for problem in answer.get_json()["errors"]}
    assert pointers == {f"/{field}" for field in refused}
    accepted = api.submit(
        model=family, image=api.upload(png()).get_json()["id"] if "image" in refused else None
    )
    assert accepted.status_code == 202


@pytest.fixture
def api_with_loras(tmp_path: Path) -> Api:
    lora = {"name": "pixel-art", "source": "/weights/secret.safetensors", "title": "Pixel art", "scale": 0.5}
    entry = {
        "name": "tiny",
        "title": "",
        "family": "stable_diffusion",
        "source": "owner/name",
        "loras": [lora],
    }
    return Api(
        folder=tmp_path, catalog=parse_catalog(json.dumps({"models": [entry]}).encode(), beside=tmp_path)
    )


def test_model_lists_its_loras_without_their_files(api_with_loras: Api) -> None:
    model = models(api_with_loras)["tiny"]
    assert model["adapters"] == ["lora"]
    assert model["loras"] == [
        {
            "name": "pixel-art",
            "title": "Pixel art",
            "trigger": "",
            "scale": 0.5,
            "min_scale": -2.0,
            "max_scale": 2.0,
        }
    ]


def test_model_lists_its_ip_adapters_without_their_files(tmp_path: Path) -> None:
    adapter = {
        "name": "style",
        "title": "Style",
        "source": "/weights/secret.safetensors",
        "image_encoder": "/weights/clip",
    }
    spec = ModelSpec(
        name="tiny", title="", family="stable_diffusion", source="owner/name", ip_adapters=[adapter]
    )
    api = Api(folder=tmp_path, catalog=ModelCatalog(models=(spec,)))
    model = models(api)["tiny"]
    assert (model["inputs"], model["adapters"]) == (["text", "reference"], ["ip_adapter"])
    assert model["ip_adapters"] == [{"name": "style", "title": "Style"}]
    assert "secret" not in str(model)
    picture = api.upload(png()).get_json()["id"]
    accepted = api.submit(reference_image=picture, reference_scale=0.8)
    assert accepted.status_code == 202, accepted.text
    parameters = api.client.get(accepted.location).get_json()["parameters"]
    assert parameters["reference_image"] == picture
    assert (parameters["ip_adapter"], parameters["reference_scale"]) == ("style", 0.8)
    unknown = api.submit(reference_image="0" * 64)
    assert [error["pointer"] for error in unknown.get_json()["errors"]] == ["/reference_image"]


def test_example_of_a_model_is_served_without_its_file(tmp_path: Path) -> None:
    file = tmp_path / "fox.png"
    file.write_bytes(png())
    spec = DEMO_MODEL.model_copy(update={"example": ModelExample(file=str(file), prompt="a fox")})
    api = Api(folder=tmp_path, catalog=ModelCatalog(models=(spec,)))
    assert models(api)["demo"]["example"] == {"prompt": "a fox"}
    first = api.client.get("/v1/models/demo/example")
    assert (first.status_code, first.content_type, first.data) == (200, "image/png", png())
    assert "Authorization" in first.vary
    unchanged = api.client.get("/v1/models/demo/example", headers={"If-None-Match": first.headers["ETag"]})
    assert unchanged.status_code == 304
    file.write_text("replaced by another file")
    assert api.client.get("/v1/models/demo/example").get_json()["code"] == "image_not_found"
    file.unlink()
    assert api.client.get("/v1/models/demo/example").status_code == 404


def test_model_without_an_example_has_none(api: Api) -> None:
    assert models(api)["flux"]["example"] is None
    assert api.client.get("/v1/models/flux/example").get_json()["code"] == "image_not_found"
    assert api.client.get("/v1/models/unknown/example").get_json()["code"] == "model_not_found"


def test_typical_time_is_the_estimate_without_a_queue(tmp_path: Path) -> None:
    api = Api(folder=tmp_path)
    assert models(api)["demo"]["typical_seconds"] is None
    api.clock.advance(60)
    times = ModelTimes(model="demo", gpu_seconds_per_unit=2.0, sizes=())
    alive_until = api.clock.now() + timedelta(days=1)
    api.reports.publish(worker_report(times=(times,), alive_until=alive_until))
    idle = api.client.post("/v1/tasks:estimate", json={"prompt": "x"}).get_json()["eta"]["p50_seconds"]
    for _ in range(3):
        assert api.submit().status_code == 202
    assert models(api)["demo"]["typical_seconds"] == idle > 0


def test_submission_keeps_its_loras(api_with_loras: Api) -> None:
    response = api_with_loras.client.post(
        "/v1/tasks", json={"prompt": "a fox", "loras": [{"name": "pixel-art"}]}
    )
    assert response.status_code == 202
    assert response.get_json()["parameters"]["loras"] == [{"name": "pixel-art", "scale": 0.5}]


@pytest.mark.parametrize(
    ("loras", "pointer"),
    [
        ([{"name": "ink"}], "/loras/0/name"),
        ([{"name": "pixel-art", "scale": 9}], "/loras/0/scale"),
        ([{"name": "pixel-art", "scale": "strong"}], "/loras/0/scale"),
        ([{"name": "pixel-art", "source": "https://example.com/a.safetensors"}], "/loras/0/source"),
        ([{"name": "pixel-art"}] * 5, "/loras"),
        ("pixel-art", "/loras"),
    ],
)
def test_invalid_lora_is_refused_at_its_pointer(api_with_loras: Api, loras: Any, pointer: str) -> None:
    response = api_with_loras.client.post("/v1/tasks", json={"prompt": "a fox", "loras": loras})
    assert response.status_code == 422
    assert [error["pointer"] for error in response.get_json()["errors"]] == [pointer]

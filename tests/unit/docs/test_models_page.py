"""Each catalog entry in the documentation is valid and fits its official model."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from common.catalog_file import parse_catalog
from common.domain.models.families import FAMILIES, PIPELINE_CLASS_OF, family_problem
from common.domain.models.known_pipelines import KNOWN_PIPELINES, PIPELINE
from common.domain.models.pipeline_traits import pipeline_traits
from common.domain.models.promises import promises_beyond
from common.domain.models.spec import ModelSpec

_DOCS = Path(__file__).parents[3] / "docs"
_FLOW: dict[str, Any] = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
_SHIFTED: dict[str, Any] = {**_FLOW, "use_dynamic_shifting": True}
_VAE: dict[str, Any] = {"block_out_channels": [128, 256, 512, 512]}
_FLUX_2: dict[str, dict[str, Any]] = {"vae": {**_VAE, "patch_size": [2, 2]}, "scheduler": _SHIFTED}
_Z_IMAGE = {"scheduler": _FLOW, "vae": _VAE, "transformer": {"all_patch_size": [2]}}
_QWEN_IMAGE: dict[str, dict[str, Any]] = {
    "scheduler": {**_SHIFTED, "time_shift_type": "exponential", "shift_terminal": 0.02},
    "vae": {"temperal_downsample": [False, True, True]},
    "transformer": {"patch_size": 2},
}
OFFICIAL: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": (
        "StableDiffusionPipeline",
        {"scheduler": {"_class_name": "PNDMScheduler"}, "vae": _VAE},
    ),
    "stabilityai/stable-diffusion-xl-base-1.0": (
        "StableDiffusionXLPipeline",
        {"scheduler": {"_class_name": "EulerDiscreteScheduler"}, "vae": _VAE},
    ),
    "diffusers/stable-diffusion-xl-1.0-inpainting-0.1": (
        "StableDiffusionXLPipeline",
        {"scheduler": {"_class_name": "EulerDiscreteScheduler"}, "vae": _VAE, "unet": {"in_channels": 9}},
    ),
    "stabilityai/stable-diffusion-3.5-medium": (
        "StableDiffusion3Pipeline",
        {"scheduler": _FLOW, "vae": _VAE, "transformer": {"patch_size": 2}},
    ),
    "black-forest-labs/FLUX.1-dev": (
        "FluxPipeline",
        {"scheduler": _SHIFTED, "vae": _VAE, "transformer": {"guidance_embeds": True}},
    ),
    "black-forest-labs/FLUX.1-schnell": (
        "FluxPipeline",
        {"scheduler": _FLOW, "vae": _VAE, "transformer": {"guidance_embeds": False}},
    ),
    "black-forest-labs/FLUX.1-Kontext-dev": (
        "FluxKontextPipeline",
        {"scheduler": _SHIFTED, "vae": _VAE, "transformer": {"guidance_embeds": True}},
    ),
    "lodestones/Chroma1-HD": ("ChromaPipeline", {"scheduler": _FLOW, "vae": _VAE}),
    "black-forest-labs/FLUX.2-klein-4B": (
        "Flux2KleinPipeline",
        {PIPELINE: {"is_distilled": True}, **_FLUX_2},
    ),
    "black-forest-labs/FLUX.2-klein-base-4B": ("Flux2KleinPipeline", _FLUX_2),
    "Qwen/Qwen-Image": ("QwenImagePipeline", _QWEN_IMAGE),
    "Qwen/Qwen-Image-Edit": ("QwenImageEditPipeline", _QWEN_IMAGE),
    "Tongyi-MAI/Z-Image-Turbo": ("ZImagePipeline", _Z_IMAGE),
    "Tongyi-MAI/Z-Image": ("ZImagePipeline", _Z_IMAGE),
    "Alpha-VLLM/Lumina-Image-2.0": (
        "Lumina2Pipeline",
        {"scheduler": _FLOW, "vae": _VAE, "transformer": {"patch_size": 2}},
    ),
    "Efficient-Large-Model/Sana_1600M_1024px_diffusers": (
        "SanaPipeline",
        {
            "scheduler": {
                "_class_name": "DPMSolverMultistepScheduler",
                "prediction_type": "flow_prediction",
                "use_flow_sigmas": True,
            },
            "vae": {"encoder_block_out_channels": [128, 256, 512, 512, 1024, 1024]},
            "transformer": {"patch_size": 1},
        },
    ),
}
"""What the official repositories' JSON files state, as far as traits depend on it."""


def _entries(page: str) -> Iterator[dict[str, Any]]:
    for block in re.findall(r"^```json\n(.*?)^```", (_DOCS / page).read_text(), re.DOTALL | re.MULTILINE):
        content = json.loads(block)
        yield from content.get("models", [content])


ENTRIES = [*_entries("models.md"), *_entries("operating/models.md")]
HUB_ENTRIES = [entry for entry in ENTRIES if re.fullmatch(r"(?!example/)\w[\w.-]*/[\w.-]+", entry["source"])]


def _parsed(entry: dict[str, Any], folder: Path) -> ModelSpec:
    return parse_catalog(json.dumps({"models": [entry]}).encode(), beside=folder).default


@pytest.mark.parametrize("entry", ENTRIES, ids=[entry["name"] for entry in ENTRIES])
def test_documented_entry_is_valid(entry: dict[str, Any], tmp_path: Path) -> None:
    assert _parsed(entry, tmp_path).name == entry["name"]


@pytest.mark.parametrize("entry", HUB_ENTRIES, ids=[entry["name"] for entry in HUB_ENTRIES])
def test_documented_entry_fits_its_official_model(entry: dict[str, Any], tmp_path: Path) -> None:
    class_name, configs = OFFICIAL[entry["source"]]
    assert family_problem(entry["family"], class_name) is None
    spec, found = _parsed(entry, tmp_path), pipeline_traits(class_name, configs)
    assert promises_beyond(spec, found) is None
    assert spec.samplers == found.samplers


def test_models_page_has_an_entry_of_every_family() -> None:
    assert {entry["family"] for entry in _entries("models.md")} == set(FAMILIES)


@pytest.mark.parametrize("family", PIPELINE_CLASS_OF)
def test_usual_values_of_each_family_are_documented(family: str) -> None:
    page = (_DOCS / "models.md").read_text()
    rows = re.findall(rf"^\| `{family}`[^|]*\| (\d+) \| ([\d.]+) \| `(\w+)` \|$", page, re.MULTILINE)
    known = KNOWN_PIPELINES[PIPELINE_CLASS_OF[family]]
    usual = known.usual[known.guidance]
    assert (str(usual.steps), f"{usual.guidance_scale:g}", usual.sampler.value) in rows

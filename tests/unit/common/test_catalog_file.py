"""Catalog entries are completed from their folders' JSON, and refused if they promise more."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from common.catalog_file import CatalogEntryError, parse_catalog
from common.domain.models.families import PIPELINE_CLASS_OF
from common.domain.models.known_pipelines import DIFFUSION_SAMPLERS
from common.domain.models.spec import ModelSpec
from common.domain.models.traits import Guidance
from common.domain.parameters import Sampler

FLOW = {"_class_name": "FlowMatchEulerDiscreteScheduler"}
EULER = {"_class_name": "EulerDiscreteScheduler", "prediction_type": "epsilon"}
VAE = {"block_out_channels": [8, 8, 8, 8]}


def folder(root: Path, class_name: str, **parts: dict[str, Any]) -> Path:
    """Create a model's folder without weights."""
    root.mkdir()
    (root / "model_index.json").write_text(json.dumps({"_class_name": class_name, **dict.fromkeys(parts)}))
    for name, config in parts.items():
        (root / name).mkdir()
        file = "scheduler_config.json" if name == "scheduler" else "config.json"
        (root / name / file).write_text(json.dumps(config))
    return root


def parsed(beside: Path, **entry: Any) -> ModelSpec:
    complete = {"name": "m", "title": "M", "family": "whole_pipeline", "source": "model", **entry}
    return parse_catalog(json.dumps({"models": [complete]}).encode(), beside=beside).default


def test_flux_without_guidance_embedding_has_no_guidance(tmp_path: Path) -> None:
    folder(
        tmp_path / "model", "FluxPipeline", scheduler=FLOW, vae=VAE, transformer={"guidance_embeds": False}
    )
    spec = parsed(tmp_path)
    assert (spec.traits.guidance, spec.traits.negative_prompt) == (Guidance.NONE, False)
    assert (spec.samplers, spec.limits.side_multiple) == (
        (Sampler.OWN, Sampler.FLOW_EULER, Sampler.UNIPC),
        16,
    )
    assert (spec.defaults.sampler, spec.defaults.guidance_scale) == (Sampler.OWN, 1.0)
    assert spec.source == str(tmp_path / "model")


def test_stable_diffusion_xl_offers_every_sampler(tmp_path: Path) -> None:
    folder(tmp_path / "model", "StableDiffusionXLPipeline", scheduler=EULER, vae=VAE, unet={})
    spec = parsed(tmp_path, limits={"max_side": 512})
    assert spec.samplers == DIFFUSION_SAMPLERS
    assert (spec.limits.max_side, spec.limits.side_multiple) == (512, 8)
    assert spec.traits.guidance is Guidance.CLASSIFIER_FREE


@pytest.mark.parametrize("stated", [{}, {"traits": {"negative_prompt": True}}])
def test_z_image_is_guided_by_any_scale_above_zero(tmp_path: Path, stated: dict[str, Any]) -> None:
    folder(tmp_path / "model", "ZImagePipeline", scheduler=FLOW, vae=VAE)
    spec = parsed(tmp_path, family="z_image", **stated)
    passes = {
        scale: spec.completed({"prompt": "x", "guidance_scale": scale}, seed=1).passes_per_step
        for scale in (0.0, 0.5, 1.0)
    }
    assert passes == {0.0: 1, 0.5: 2, 1.0: 2}
    too_much = {"guidance": "classifier_free", "guidance_off_at": 1.0}
    with pytest.raises(CatalogEntryError, match=r'"guidance_off_at": 0\.0'):
        parsed(tmp_path, family="z_image", traits=too_much)


@pytest.mark.parametrize(
    ("is_distilled", "guidance"), [(False, Guidance.CLASSIFIER_FREE), (True, Guidance.NONE)]
)
def test_flux_2_klein_uses_no_negative_prompt(tmp_path: Path, is_distilled: bool, guidance: Guidance) -> None:
    root = folder(tmp_path / "model", "Flux2KleinPipeline", scheduler=FLOW, vae=VAE)
    index = json.loads((root / "model_index.json").read_text())
    (root / "model_index.json").write_text(json.dumps({**index, "is_distilled": is_distilled}))
    spec = parsed(tmp_path, family="flux_2_klein")
    assert (spec.traits.guidance, spec.traits.negative_prompt) == (guidance, False)
    assert (spec.samplers, spec.limits.side_multiple) == (
        (Sampler.OWN, Sampler.FLOW_EULER, Sampler.UNIPC),
        16,
    )


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"samplers": ["ddim", "own"]}, 'samplers ddim; write "samplers": ["own", "flow_euler", "unipc"]'),
        ({"limits": {"side_multiple": 8}}, 'write "limits": {"side_multiple": 16}'),
        (
            {"traits": {"guidance": "classifier_free"}},
            'write "traits": {"guidance": "embedded", "negative_prompt": false,',
        ),
        (
            {"traits": {"guidance": "classifier_free", "negative_prompt": False}},
            'write "traits": {"guidance": "embedded", "negative_prompt": false,',
        ),
    ],
)
def test_entry_that_promises_too_much_is_refused(tmp_path: Path, entry: dict[str, Any], reason: str) -> None:
    folder(tmp_path / "model", "FluxPipeline", scheduler=FLOW, vae=VAE, transformer={"guidance_embeds": True})
    with pytest.raises(CatalogEntryError) as refused:
        parsed(tmp_path, **entry)
    assert str(refused.value).startswith("models/0: ")
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("class_name", "reason"),
    [
        ("WanPipeline", "it generates video"),
        ("PixArtSigmaPipeline", "callback_on_step_end"),
        ("StableDiffusionImg2ImgPipeline", "it needs an input picture"),
    ],
)
def test_class_that_cannot_be_served_is_refused(tmp_path: Path, class_name: str, reason: str) -> None:
    folder(tmp_path / "model", class_name)
    with pytest.raises(CatalogEntryError, match=f"a {class_name} cannot be served: .*{reason}"):
        parsed(tmp_path)


@pytest.mark.parametrize(
    ("class_name", "family", "missing"),
    [
        (None, "whole_pipeline", r"samplers, traits, limits\.side_multiple"),
        ("AuraFlowPipeline", "whole_pipeline", r"samplers, traits, limits\.side_multiple"),
        (None, "flux", "traits"),
    ],
)
def test_model_that_cannot_be_read_must_state_its_traits(
    tmp_path: Path, class_name: str | None, family: str, missing: str
) -> None:
    if class_name is not None:
        folder(tmp_path / "model", class_name, scheduler=FLOW)
    with pytest.raises(CatalogEntryError, match=rf"a {family} model must state {missing} where its folder"):
        parsed(tmp_path, family=family)
    stated = {"samplers": ["own"], "traits": {"negative_prompt": False}, "limits": {"side_multiple": 8}}
    assert parsed(tmp_path, family=family, **stated).samplers == (Sampler.OWN,)


@pytest.mark.parametrize(
    ("family", "reason"),
    [
        ("sdxl", "`family` must be one of stable_diffusion, stable_diffusion_xl, "),
        ("stable_diffusion", 'this is a StableDiffusionXLPipeline; write "family": "stable_diffusion_xl"'),
    ],
)
def test_family_that_cannot_serve_the_model_is_refused(tmp_path: Path, family: str, reason: str) -> None:
    folder(tmp_path / "model", "StableDiffusionXLPipeline", scheduler=EULER, vae=VAE, unet={})
    with pytest.raises(CatalogEntryError, match=re.escape(reason)):
        parsed(tmp_path, family=family)


def test_damaged_folder_is_left_to_the_worker(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model_index.json").write_text("{")
    assert parsed(tmp_path, family="stable_diffusion").samplers == DIFFUSION_SAMPLERS


# ── minimal entries ──────────────────────────────────────────────────────────────────────────────────────

SCHEDULERS: dict[str, dict[str, Any]] = {
    "flow": {**FLOW, "shift": 3.0},
    "dynamic": {**FLOW, "use_dynamic_shifting": True},
    "terminal": {**FLOW, "use_dynamic_shifting": True, "shift_terminal": 0.02},
    "base z-image": {**FLOW, "shift": 6.0},
    "betas": EULER,
    "betas of a flow": {
        "_class_name": "DPMSolverMultistepScheduler",
        "prediction_type": "flow_prediction",
        "use_flow_sigmas": True,
    },
}
SANA_VAE = {"encoder_block_out_channels": [8] * 6}
QWEN_VAE = {"temperal_downsample": [False, True, True]}


Z_IMAGE = {"transformer": {"all_patch_size": [2]}}


@pytest.mark.parametrize(
    ("family", "scheduler", "parts", "usual", "side", "passes"),
    [
        ("stable_diffusion", "betas", {"unet": {"sample_size": 96}}, (30, 7.5, "ddim"), 768, 2),
        (
            "stable_diffusion",
            "betas",
            {"unet": {"sample_size": 64, "time_cond_proj_dim": 256}},
            (4, 8.0, "own"),
            512,
            1,
        ),
        ("stable_diffusion_xl", "betas", {"unet": {"sample_size": 128}}, (30, 5.0, "own"), 1024, 2),
        (
            "stable_diffusion_3",
            "flow",
            {"transformer": {"patch_size": 2, "sample_size": 128}},
            (28, 4.5, "own"),
            1024,
            2,
        ),
        ("flux", "dynamic", {"transformer": {"guidance_embeds": True}}, (28, 3.5, "own"), 1024, 1),
        ("flux", "flow", {"transformer": {"guidance_embeds": False}}, (4, 1.0, "own"), 1024, 1),
        ("flux_2_klein", "dynamic", {}, (50, 4.0, "own"), 1024, 2),
        ("qwen_image", "terminal", {"vae": QWEN_VAE}, (50, 4.0, "own"), 1024, 2),
        ("z_image", "flow", Z_IMAGE, (8, 0.0, "own"), 1024, 1),
        ("z_image", "base z-image", Z_IMAGE, (50, 4.0, "own"), 1024, 2),
        (
            "sana",
            "betas of a flow",
            {"vae": SANA_VAE, "transformer": {"sample_size": 32}},
            (20, 4.5, "own"),
            1024,
            2,
        ),
    ],
)
def test_minimal_entry_gets_the_usual_values_of_its_family(
    tmp_path: Path,
    family: str,
    scheduler: str,
    parts: dict[str, Any],
    usual: tuple[int, float, str],
    side: int,
    passes: int,
) -> None:
    named = {"vae": VAE, **parts, "scheduler": SCHEDULERS[scheduler]}
    folder(tmp_path / "model", PIPELINE_CLASS_OF[family], **named)
    asked = parsed(tmp_path, family=family).completed({"prompt": "a fox"}, seed=1)
    assert (asked.steps, asked.guidance_scale, asked.sampler) == usual
    assert (asked.width, asked.height, asked.passes_per_step) == (side, side, passes)


def test_usual_values_keep_the_stated_limits(tmp_path: Path) -> None:
    transformer = {"guidance_embeds": True}
    folder(
        tmp_path / "model", "FluxPipeline", scheduler=SCHEDULERS["dynamic"], vae=VAE, transformer=transformer
    )
    limits = {"max_steps": 8, "max_side": 600, "max_guidance_scale": 3.0}
    defaults = parsed(tmp_path, family="flux", limits=limits).defaults
    assert (defaults.steps, defaults.width, defaults.guidance_scale) == (8, 592, 3.0)
    unguided = {"guidance": "none", "negative_prompt": False}
    spec = parsed(tmp_path, family="flux", traits=unguided, limits={"min_guidance_scale": 2.0})
    assert spec.defaults.guidance_scale == 1.0


@pytest.mark.parametrize("family", sorted(PIPELINE_CLASS_OF))
def test_minimal_entry_of_an_unreadable_model_is_valid(tmp_path: Path, family: str) -> None:
    """Only the fields that differ between the models of a family must be stated."""
    entry: dict[str, Any] = {"family": family, "source": "owner/name"}
    if family in ("flux", "flux_2_klein"):
        with pytest.raises(CatalogEntryError, match=f"the entry of a {family} model must state traits where"):
            parsed(tmp_path, **entry)
        entry["traits"] = {"guidance": "none", "negative_prompt": False}
    spec = parsed(tmp_path, **entry)
    assert set(spec.samplers) in ({Sampler.OWN, Sampler.FLOW_EULER}, set(DIFFUSION_SAMPLERS))
    multiples = {"sana": 32, "stable_diffusion": 8, "stable_diffusion_xl": 8}
    assert spec.limits.side_multiple == multiples.get(family, 16)


def test_clip_model_states_the_tokens_of_its_tokenizer(tmp_path: Path) -> None:
    root = folder(tmp_path / "model", "StableDiffusionPipeline", scheduler=EULER, vae=VAE, unet={})
    (root / "tokenizer").mkdir()
    (root / "tokenizer" / "tokenizer_config.json").write_text('{"model_max_length": 77}')
    index = json.loads((root / "model_index.json").read_text())
    index["tokenizer"] = ["transformers", "CLIPTokenizer"]
    (root / "model_index.json").write_text(json.dumps(index))
    assert parsed(tmp_path, family="stable_diffusion", max_prompt_tokens=75).max_prompt_tokens == 75
    with pytest.raises(
        CatalogEntryError, match='the model reads 75 tokens of a prompt; write "max_prompt_tok'
    ):
        parsed(tmp_path, family="stable_diffusion", max_prompt_tokens=76)


def test_class_that_cannot_step_with_its_scheduler_is_refused(tmp_path: Path) -> None:
    folder(tmp_path / "model", "StableDiffusionXLPipeline", scheduler=FLOW, vae=VAE, unet={})
    with pytest.raises(CatalogEntryError, match="cannot step with a FlowMatchEulerDiscreteScheduler"):
        parsed(tmp_path, family="stable_diffusion_xl")

"""The traits of models: found in folders, kept by loaded pipelines, and stated in catalog entries."""

import inspect
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    EDMEulerScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    LCMScheduler,
    PNDMScheduler,
    UniPCMultistepScheduler,
)

from common.domain.models.families import FAMILIES, PIPELINE_CLASS_OF, WHOLE_PIPELINE
from common.domain.models.known_pipelines import DIFFUSION_SAMPLERS, KNOWN_PIPELINES
from common.domain.models.pipeline_traits import buildable_samplers
from common.domain.models.spec import ModelSpec
from common.domain.models.traits import Guidance
from common.domain.models.unservable_pipelines import (
    NEEDS_INPUT,
    NOT_TEXT_TO_IMAGE,
    UNSERVABLE_PIPELINES,
    VIDEO,
)
from common.domain.parameters import GenerationParameters, Sampler
from common.settings import SettingsError, read_catalog
from gpu_subscriber.describe_model import described
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.errors import ModelRefusedError
from gpu_subscriber.engine.families.registry import GUIDED_FAMILIES
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.models.loading import load_family
from gpu_subscriber.engine.models.pipeline_calls import unservable_call
from gpu_subscriber.engine.models.samplers import make_scheduler, new_scheduler, scheduler_config
from gpu_subscriber.engine.tuning.warm_up import warm_up
from tests.unit.gpu_subscriber.engine.driven_engine import CPU
from tests.unit.gpu_subscriber.engine.tiny_families import saved
from tests.unit.gpu_subscriber.engine.tiny_pipelines import tiny_latent_consistency, tiny_stable_diffusion

FLOW_SAMPLERS = (Sampler.OWN, Sampler.FLOW_EULER, Sampler.DPMPP_2M, Sampler.UNIPC)
SERVED = {
    "sdxl": ("classifier_free", DIFFUSION_SAMPLERS, 8),
    "flux-dev": ("embedded", FLOW_SAMPLERS, 16),
    "flux-schnell": ("none", (Sampler.OWN, Sampler.FLOW_EULER, Sampler.UNIPC), 16),
    "sd3": ("classifier_free", FLOW_SAMPLERS, 16),
    "qwen-image": ("classifier_free", (Sampler.OWN, Sampler.FLOW_EULER, Sampler.UNIPC), 8),
    "z-image": ("classifier_free", (Sampler.OWN, Sampler.FLOW_EULER), 16),
    "sana": ("classifier_free", FLOW_SAMPLERS, 32),
}
"""Guidance, samplers and size multiple of each tiny pipeline that can be served."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    root = tmp_path_factory.mktemp("families")
    names = (*SERVED, "pixart", "wan")
    return {name: saved(name, root / name) for name in names}


def catalog_of(folder: Path, entry: Mapping[str, Any], beside: Path) -> ModelSpec:
    complete = {"name": "tiny", "title": "Tiny", "family": "whole_pipeline", "source": str(folder), **entry}
    file = beside / "models.json"
    file.write_text(json.dumps({"models": [complete]}))
    return read_catalog(file).default


def small(**fields: Any) -> dict[str, Any]:
    """Return the fields of an entry whose default image is small enough for tests."""
    return {"limits": {"min_side": 32}, "defaults": {"width": 64, "height": 64, "steps": 2}, **fields}


@pytest.mark.parametrize("name", SERVED)
def test_entry_without_traits_is_completed_from_the_folder(
    folders: Mapping[str, Path], tmp_path: Path, name: str
) -> None:
    spec = catalog_of(folders[name], small(), tmp_path)
    guidance, samplers, multiple = SERVED[name]
    assert (spec.traits.guidance, spec.samplers, spec.limits.side_multiple) == (guidance, samplers, multiple)
    assert spec.traits.negative_prompt == (guidance == "classifier_free")
    assert spec.defaults.sampler in samplers


@pytest.mark.parametrize("name", SERVED)
def test_every_offered_parameter_changes_the_picture(
    folders: Mapping[str, Path], tmp_path: Path, name: str
) -> None:
    spec = catalog_of(folders[name], small(), tmp_path)
    family = load_family(spec, CPU)
    assert isinstance(family, WholePipeline)
    assert warm_up(family, spec, CPU, BatchCaps(max_batch=8), measure=False) is None

    def drawn(**asked: Any) -> np.ndarray:
        complete = {"prompt": "a red fox", "steps": 3, **asked}
        parameters = spec.completed(complete, seed=7)
        with torch.inference_mode():
            return family.generate(parameters, seed=7, on_step=lambda *_: None).pixels.numpy()

    usual = drawn()
    assert usual.shape == (64, 64, 3)
    for sampler in spec.samplers:
        assert drawn(sampler=sampler).shape == (64, 64, 3)
    if spec.traits.guidance is not Guidance.NONE:
        assert not np.array_equal(drawn(guidance_scale=1.5), drawn(guidance_scale=9.0))
    if spec.traits.negative_prompt:
        assert not np.array_equal(
            drawn(guidance_scale=6.0), drawn(guidance_scale=6.0, negative_prompt="blue")
        )
    wider = 64 + spec.limits.side_multiple
    assert drawn(width=wider).shape == (64, wider, 3)


def test_declared_absence_of_guidance_turns_it_off(folders: Mapping[str, Path], tmp_path: Path) -> None:
    """Z-Image is guided at scale 1, the only one of a model without guidance."""
    spec = catalog_of(
        folders["z-image"], small(traits={"guidance": "none", "negative_prompt": False}), tmp_path
    )
    family = load_family(spec, CPU)
    assert isinstance(family, WholePipeline)
    parameters = spec.completed({"prompt": "a red fox"}, seed=7)
    with torch.inference_mode():
        pixels = family.generate(parameters, seed=7, on_step=lambda *_: None).pixels.numpy()
        stock = family.pipeline(
            "a red fox",
            width=64,
            height=64,
            num_inference_steps=2,
            guidance_scale=0.0,
            generator=torch.Generator("cpu").manual_seed(7),
            output_type="np",
        ).images[0]
    assert np.array_equal(pixels, (stock * 255).round().astype("uint8"))


def test_engine_has_a_class_for_each_family() -> None:
    assert {*GUIDED_FAMILIES, WHOLE_PIPELINE} == set(FAMILIES)


@pytest.mark.parametrize(("name", "reason"), [("wan", "video"), ("pixart", "callback_on_step_end")])
def test_class_that_cannot_be_served_is_refused_when_the_catalog_is_read(
    folders: Mapping[str, Path], tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(SettingsError, match=f"models/0: a .*Pipeline cannot be served: .*{reason}"):
        catalog_of(folders[name], {}, tmp_path)


@pytest.mark.parametrize(
    ("name", "entry", "reason"),
    [
        (
            "flux-schnell",
            {"samplers": ["euler", "own"]},
            'does not obey the samplers euler; write "samplers": ["own", "flow_euler", "unipc"]',
        ),
        ("sana", {"samplers": ["ddim"]}, 'write "samplers": ["own", "flow_euler", "dpmpp_2m", "unipc"]'),
        (
            "flux-dev",
            {"traits": {"guidance": "classifier_free", "negative_prompt": True}},
            'write "traits": {"guidance": "embedded", "negative_prompt": false, "inputs": ["text", "image", "mask"]}',
        ),
        ("sd3", {"limits": {"side_multiple": 8}}, 'write "limits": {"side_multiple": 16}'),
        ("qwen-image", {"limits": {"min_steps": 1}}, 'write "limits": {"min_steps": 2}'),
    ],
)  # fmt: skip
def test_entry_that_promises_too_much_is_refused_with_what_to_write(
    folders: Mapping[str, Path], tmp_path: Path, name: str, entry: dict[str, Any], reason: str
) -> None:
    with pytest.raises(SettingsError, match=re.escape(reason)):
        catalog_of(folders[name], entry, tmp_path)
    # If only the worker has the folder, the model is refused when it is loaded.
    spec = ModelSpec(
        **{"name": "tiny", "title": "", "family": "whole_pipeline", "source": str(folders[name]), **entry}
    )
    with pytest.raises(ModelRefusedError, match=re.escape(reason)):
        load_family(spec, CPU)


def test_entry_that_offers_less_is_accepted(folders: Mapping[str, Path], tmp_path: Path) -> None:
    entry = small(samplers=["euler"], traits={"guidance": "none", "negative_prompt": False})
    spec = catalog_of(folders["sdxl"], entry, tmp_path)
    assert (spec.defaults.sampler, spec.defaults.guidance_scale) == (Sampler.EULER, 1.0)
    assert isinstance(load_family(spec, CPU), WholePipeline)


def test_whole_pipeline_whose_folder_is_elsewhere_must_state_its_traits(tmp_path: Path) -> None:
    file = tmp_path / "models.json"
    entry = {"name": "far", "title": "Far", "family": "whole_pipeline", "source": "/weights/not-here"}
    file.write_text(json.dumps({"models": [entry]}))
    with pytest.raises(SettingsError, match=r"must state samplers, traits, limits\.side_multiple"):
        read_catalog(file)
    stated = {
        **entry,
        "samplers": ["own"],
        "traits": {"guidance": "none", "negative_prompt": False},
        "limits": {"side_multiple": 16},
    }
    file.write_text(json.dumps({"models": [stated]}))
    assert read_catalog(file).default.defaults.sampler is Sampler.OWN


@pytest.mark.parametrize(("name", "family"), [("sdxl", "stable_diffusion_xl"), ("flux-schnell", "flux")])
def test_described_folder_is_a_complete_entry(
    folders: Mapping[str, Path], tmp_path: Path, name: str, family: str
) -> None:
    entry = described(folders[name])
    file = tmp_path / "models.json"
    file.write_text(json.dumps({"models": [entry]}))
    spec = read_catalog(file).default
    assert (spec.name, spec.family, spec.samplers) == (name, family, SERVED[name][1])


def test_distilled_model_has_one_pass_at_any_guidance_scale(tmp_path: Path) -> None:
    folder = tiny_latent_consistency(tmp_path / "lcm")
    spec = catalog_of(folder, small(), tmp_path)
    assert spec.traits.guidance is Guidance.EMBEDDED
    assert {
        spec.completed({"prompt": "x", "guidance_scale": g}, seed=1).passes_per_step for g in (1.0, 8.0)
    } == {1}
    assert isinstance(load_family(spec, CPU), WholePipeline)


# ── schedulers ───────────────────────────────────────────────────────────────────────────────────────────

CONFIGURATIONS: dict[str, Any] = {
    "epsilon": DDIMScheduler(),
    "v": EulerDiscreteScheduler(prediction_type="v_prediction", timestep_spacing="trailing"),
    "zero-snr": DDIMScheduler(rescale_betas_zero_snr=True, prediction_type="v_prediction"),
    "sample": DDIMScheduler(prediction_type="sample"),
    "exponential": DPMSolverMultistepScheduler(use_exponential_sigmas=True),
    "karras": DPMSolverMultistepScheduler(use_karras_sigmas=True),
    "pndm": PNDMScheduler(skip_prk_steps=True, steps_offset=1),
    "lcm": LCMScheduler(),
    "flow": DPMSolverMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    ),
    "flow unipc": UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    ),
}


@pytest.mark.parametrize("own", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_buildable_samplers_take_every_step(own: Any) -> None:
    buildable = buildable_samplers(scheduler_config(own))
    assert Sampler.OWN in buildable
    generator = torch.Generator().manual_seed(1)
    for sampler in buildable:
        scheduler = new_scheduler(sampler, own, steps=4)
        latents = torch.randn((1, 4, 8, 8), generator=generator) * getattr(scheduler, "init_noise_sigma", 1.0)
        extra = (
            {"generator": generator} if "generator" in inspect.signature(scheduler.step).parameters else {}
        )
        for timestep in scheduler.timesteps:
            scale = getattr(scheduler, "scale_model_input", None)
            network_input = latents if scale is None else scale(latents, timestep)
            latents = scheduler.step(network_input * 0.5, timestep, latents, **extra, return_dict=False)[0]
        assert torch.isfinite(latents).all(), sampler


@pytest.mark.parametrize("name", GUIDED_FAMILIES)
def test_guidance_leads_away_from_the_negative_prompt(name: str) -> None:
    """So the content policy does not check negative prompts."""
    family = GUIDED_FAMILIES[name]
    scale = KNOWN_PIPELINES[PIPELINE_CLASS_OF[name]].guidance_off_at + 0.1
    negative, positive = torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])
    guided = family.guide(object.__new__(family), negative, positive, scale)
    assert guided[0] > 0 > guided[1]


def test_scheduler_of_another_kind_is_obeyed_alone() -> None:
    assert buildable_samplers(scheduler_config(EDMEulerScheduler())) == (Sampler.OWN,)


def test_lcm_keeps_the_steps_that_the_checkpoint_was_distilled_for() -> None:
    own = LCMScheduler(original_inference_steps=30)
    for steps, original in ((4, 30), (40, 40)):
        assert make_scheduler(Sampler.LCM, own, steps=steps).config.original_inference_steps == original
    assert make_scheduler(Sampler.LCM, DDIMScheduler(), steps=4).config.original_inference_steps == 50


def test_unet_family_refuses_a_flow_matching_scheduler(tmp_path: Path) -> None:
    own: Any = FlowMatchEulerDiscreteScheduler()
    folder = tiny_stable_diffusion(tmp_path / "odd")
    own.save_pretrained(folder / "scheduler")
    index = json.loads((folder / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", type(own).__name__]
    (folder / "model_index.json").write_text(json.dumps(index))
    spec = ModelSpec(name="odd", title="", family="stable_diffusion", source=str(folder), samplers=("own",))
    with pytest.raises(ModelRefusedError, match=f"cannot step with a {type(own).__name__}"):
        load_family(spec, CPU)


def test_table_of_unservable_classes_agrees_with_diffusers() -> None:
    """Compared by the signature of each class's call; other reasons are listed by hand."""
    found = {}
    for name in dir(diffusers):
        pipeline = getattr(diffusers, name) if name.endswith("Pipeline") else None
        if inspect.isclass(pipeline) and issubclass(pipeline, diffusers.DiffusionPipeline):
            found[name] = unservable_call(inspect.signature(pipeline.__call__).parameters)
    del found["DiffusionPipeline"]
    shown = {name: reason for name, reason in found.items() if reason is not None}
    table = {name: UNSERVABLE_PIPELINES.get(name) for name in shown}
    others = {name: reason for name, reason in table.items() if reason not in (VIDEO, shown[name])}
    assert not others
    by_hand = {reason for name, reason in UNSERVABLE_PIPELINES.items() if name not in shown}
    assert by_hand == {VIDEO, NEEDS_INPUT, NOT_TEXT_TO_IMAGE}
    assert set(UNSERVABLE_PIPELINES) <= set(found)


def test_parameters_of_a_guided_model_are_stored_as_before() -> None:
    fields: dict[str, Any] = {
        "prompt": "x", "model": "m", "steps": 1, "guidance_scale": 5.0, "seed": 1, "sampler": "ddim",
        "width": 64, "height": 64, "num_images": 1, "output_format": "png",
    }  # fmt: skip
    assert "guidance" not in GenerationParameters(**fields).model_dump(mode="json")
    embedded = GenerationParameters(**fields, guidance="embedded")
    assert GenerationParameters.model_validate(embedded.model_dump(mode="json")) == embedded
    assert embedded.passes_per_step == 1

"""What is special to the FLUX.1, Stable Diffusion 3 and Sana families, besides the family oracle."""

import gc
import weakref
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline

from common.domain.models.families import FAMILIES, has_own_sizes
from common.domain.models.spec import ModelSpec
from common.domain.parameters import GenerationParameters
from gpu_subscriber.describe_model import described
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.families.flux import Flux
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.families.registry import GUIDED_FAMILIES
from gpu_subscriber.engine.families.sana import Sana
from gpu_subscriber.engine.families.stable_diffusion_3 import StableDiffusion3
from gpu_subscriber.engine.models.loading import compile_blocks, load_family
from gpu_subscriber.engine.runs.run import Denoising
from gpu_subscriber.engine.tuning.warm_up import warm_up
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, DrivenEngine, drawing
from tests.unit.gpu_subscriber.engine.families.conftest import ModelOf
from tests.unit.gpu_subscriber.engine.families.family_cases import Model
from tests.unit.gpu_subscriber.engine.families.test_family_oracle import STEP_TOLERANCE
from tests.unit.gpu_subscriber.engine.stock_oracle import StockPicture, cfg, stock_picture
from tests.unit.gpu_subscriber.engine.tiny_families import saved

each_flow_case = pytest.mark.parametrize(
    "model", ["flux dev", "flux schnell", "stable_diffusion_3", "sana"], indirect=True
)


def loaded(folder: Path, name: str, *, dtype: torch.dtype = torch.float32, **changes: Any) -> Any:
    pipeline = DiffusionPipeline.from_pretrained(saved(name, folder, **changes), dtype=dtype)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def own_sampler(**changes: Any) -> GenerationParameters:
    return drawing(sampler="own", width=64, height=32, negative_prompt="blurry", **changes)


@torch.inference_mode()
def finished(family: GuidedFamily, parameters: GenerationParameters) -> Denoising:
    state = family.prepare(parameters, seed=parameters.seed)
    while not state.is_done:
        state.advance(family.predict([state])[0])
    return state


def assert_bit_equal(family: GuidedFamily, parameters: GenerationParameters, expected: StockPicture) -> None:
    state = finished(family, parameters)
    assert torch.equal(state.latents, expected.latents)
    with torch.inference_mode():
        assert np.array_equal(family.decode(state).pixels.numpy(), expected.pixels)


def test_stable_diffusion_3_without_t5_equals_the_stock_pipeline(tmp_path: Path) -> None:
    folder = saved("sd3", tmp_path, text_encoder_3=None, tokenizer_3=None)
    spec = ModelSpec(**{**described(folder), "name": "tiny"})
    family = load_family(spec, CPU)
    assert isinstance(family, StableDiffusion3)
    parameters = own_sampler()
    assert_bit_equal(family, parameters, stock_picture(family.pipeline, parameters))


def test_sana_of_unknown_sizes_generates_in_the_requested_size(tmp_path: Path) -> None:
    stock = loaded(tmp_path, "sana", sample_size=8)
    parameters = own_sampler()

    def without_bins(asked: GenerationParameters) -> dict[str, Any]:
        return {**cfg(asked), "use_resolution_binning": False}

    expected = stock_picture(stock, parameters, arguments=without_bins)
    assert expected.latents.shape[-2:] == (1, 2)
    assert_bit_equal(Sana(stock), parameters, expected)
    assert Sana(stock).batch_key(parameters) == BatchKey.of(parameters)


def test_work_units_ignore_the_size_of_the_families_that_generate_in_another() -> None:
    resizing = {
        name
        for name, family in GUIDED_FAMILIES.items()
        if family.generated_size is not GuidedFamily.generated_size
    }
    assert resizing == {name for name in FAMILIES if has_own_sizes(name)} == {"sana"}


def test_sana_drops_learned_variances_like_the_stock_pipeline(tmp_path: Path) -> None:
    stock = loaded(tmp_path, "sana", out_channels=8)
    parameters = own_sampler()
    expected = stock_picture(stock, parameters, arguments=cfg)
    assert_bit_equal(Sana(stock), parameters, expected)


def test_sana_runs_of_several_sizes_share_steps_as_generated(loaded_model: ModelOf) -> None:
    """All are generated in 512 x 512, at which the load measures the cap."""
    model = loaded_model("sana")

    def load(name: str) -> GuidedFamily:
        driven.caps.learn(BatchKey(model=name, width=512, height=512, branches=2), 2)
        return model.family

    model.family.clear()
    driven = DrivenEngine(model.family, load=load)
    sides = {"first": 64, "second": 64, "third": 64, "large": 640}
    for run_id, side in sides.items():
        driven.start(run_id, model.asked(width=side, height=side, guidance_scale=5.0, steps=2))
    driven.run_to_end()
    assert model.family.batches == [2, 2, 2, 2]
    assert {run_id: driven.picture(run_id).shape[:2] for run_id in sides} == {
        run_id: (side, side) for run_id, side in sides.items()
    }
    assert (driven.caps.slots_of("tiny"), model.family.largest_error < STEP_TOLERANCE) == (2, True)


def test_flux_takes_the_guidance_scale_in_float32(tmp_path: Path) -> None:
    family = Flux(loaded(tmp_path, "flux-dev", dtype=torch.bfloat16))
    (rows,) = family.prepare(own_sampler(guidance="embedded", guidance_scale=3.3), seed=1).branches
    assert rows["guidance"].dtype == torch.float32
    assert rows["guidance"].tolist() == pytest.approx([3.3])
    assert rows["encoder_hidden_states"].dtype == torch.bfloat16


def test_flux_computes_the_positions_once_per_size(
    loaded_model: ModelOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loaded_model("flux schnell")
    compute, sizes = model.stock._prepare_latent_image_ids, []

    def counted(batch: int, height: int, width: int, *more: Any, **options: Any) -> torch.Tensor:
        sizes.append((height, width))
        ids: torch.Tensor = compute(batch, height, width, *more, **options)
        return ids

    monkeypatch.setattr(model.stock, "_prepare_latent_image_ids", counted)
    driven = model.engine()
    for seed in range(3):
        driven.start(str(seed), model.asked(seed=seed, width=96, height=48))
    driven.start("other", model.asked(width=48, height=96))
    driven.run_to_end()
    assert sorted(sizes) == [(3, 6), (6, 3)]


@pytest.mark.parametrize("part", ["text_encoder_2", "text_encoder_3", "vae"])
def test_other_networks_may_have_another_precision(tmp_path: Path, part: str) -> None:
    name = "flux-dev" if part == "text_encoder_2" else "sd3"
    pipeline = loaded(tmp_path, name, dtype=torch.bfloat16)
    getattr(pipeline, part).float()
    family = (Flux if name == "flux-dev" else StableDiffusion3)(pipeline)
    state = finished(family, own_sampler(guidance="embedded" if name == "flux-dev" else "classifier_free"))
    assert state.latents.dtype == torch.bfloat16
    with torch.inference_mode():
        decoded = family.decode(state)
    assert decoded.finite
    assert decoded.varied


@each_flow_case
def test_steps_never_wait_for_the_device(model: Model) -> None:
    """The device `meta` has no values: reading one, for which a GPU would be waited for, raises."""
    parameters = [model.asked(sampler=sampler, steps=3) for sampler in model.spec.samplers]
    states = [model.family.prepare(asked, seed=1) for asked in parameters]
    family = model.with_parts(transformer=deepcopy(model.stock.transformer)).family
    family.device = family.denoiser.to("meta").device
    for state in states:
        state.latents, state.device_timesteps = state.latents.to("meta"), state.device_timesteps.to("meta")
        state.branches = tuple(
            {name: row.to("meta") for name, row in rows.items()} for rows in state.branches
        )
    for _ in range(3):
        for state, prediction in zip(states, GuidedFamily.predict(family, states), strict=True):
            state.advance(prediction)
    assert all(state.is_done and state.latents.is_meta for state in states)


@each_flow_case
def test_loaded_model_warms_up_and_leaves_no_copy_behind(model: Model) -> None:
    """Runs outlive their model while it is evicted."""
    family = load_family(model.spec, CPU)
    assert isinstance(family, GuidedFamily)
    assert warm_up(family, model.spec, CPU, BatchCaps(max_batch=8), measure=True) is not None
    with torch.inference_mode():
        runs = [family.prepare(model.asked(), seed=seed) for seed in range(8)]
        for run, prediction in zip(runs, family.predict(runs), strict=True):
            run.advance(prediction)
    networks = [weakref.ref(network) for network in family.origin.networks.values()]
    del family
    gc.collect()
    assert [network() for network in networks] == [None] * len(networks)
    assert [run.step_index for run in runs] == [1] * 8


@pytest.mark.parametrize("name", ["flux-dev", "sd3", "sana"])
def test_transformer_compiles_block_by_block(tmp_path: Path, name: str) -> None:
    transformer = loaded(tmp_path, name).transformer
    compile_blocks(transformer)
    assert any(block._compiled_call_impl is not None for block in transformer.transformer_blocks)

"""The samplers of flow-matching pipelines: the stock call takes those that are offered, and no others."""

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler

from common.domain.models.pipeline_traits import obeyed_samplers
from common.domain.parameters import Sampler
from gpu_subscriber.engine.models.samplers import make_scheduler, scheduler_config
from tests.unit.gpu_subscriber.engine.tiny_families import FAMILIES

FLOW_SAMPLERS = (Sampler.OWN, Sampler.FLOW_EULER, Sampler.DPMPP_2M, Sampler.UNIPC)
STATIC, DYNAMIC = {"shift": 3.0}, {"shift": 1.0, "use_dynamic_shifting": True}
LINEAR, TERMINAL = {**DYNAMIC, "time_shift_type": "linear"}, {**DYNAMIC, "shift_terminal": 0.02}
KARRAS = {**STATIC, "use_karras_sigmas": True}
FLOW_UNIPC = {"prediction_type": "flow_prediction", "use_flow_sigmas": True, "flow_shift": 3.0}


@pytest.fixture(
    scope="module",
    params=["flux-dev", "flux-2-klein", "chroma", "sd3", "qwen-image", "z-image", "lumina-2", "sana"],
)
def pipeline(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = FAMILIES[request.param](tmp_path_factory.mktemp(request.param))
    made.set_progress_bar_config(disable=True)
    return made


def drawn(pipeline: Any, sampler: Sampler, own: Any) -> np.ndarray:
    """Call the stock pipeline with the scheduler that the engine builds."""
    usual = pipeline.scheduler
    pipeline.scheduler = make_scheduler(sampler, own, steps=3)
    try:
        generator = torch.Generator().manual_seed(1)
        image = pipeline(
            prompt="a red fox",
            width=64,
            height=64,
            num_inference_steps=3,
            generator=generator,
            output_type="np",
        ).images[0]
    finally:
        pipeline.scheduler = usual
    return np.asarray(image)


def accepted(pipeline: Any, own: Any) -> list[Sampler]:
    """Return the samplers with which the stock call generates a finite image."""
    found = []
    for sampler in FLOW_SAMPLERS:
        try:
            image = drawn(pipeline, sampler, own)
        except Exception:  # every scheduler refuses arguments in its own way
            continue
        if np.isfinite(image).all():
            found.append(sampler)
    return found


@pytest.mark.parametrize("config", [STATIC, DYNAMIC, LINEAR, TERMINAL, KARRAS], ids=str)
def test_stock_call_takes_exactly_the_offered_samplers(pipeline: Any, config: dict[str, Any]) -> None:
    class_name = type(pipeline).__name__
    if class_name == "SanaPipeline" and "use_dynamic_shifting" in config:
        pytest.skip("this call passes no shift, so its own scheduler cannot be a dynamic one")
    own = FlowMatchEulerDiscreteScheduler(**config)
    offered = obeyed_samplers(class_name, scheduler_config(own))
    assert sorted(offered) == sorted(accepted(pipeline, own))


def test_flow_euler_takes_the_shift_of_a_scheduler_of_betas() -> None:
    made = make_scheduler(Sampler.FLOW_EULER, UniPCMultistepScheduler(**FLOW_UNIPC), steps=2)
    assert (type(made), made.config.shift) == (FlowMatchEulerDiscreteScheduler, 3.0)


@pytest.mark.parametrize("sampler", [Sampler.DPMPP_2M, Sampler.UNIPC])
def test_solver_of_betas_takes_the_shift_of_flow_euler(sampler: Sampler) -> None:
    own = FlowMatchEulerDiscreteScheduler(**STATIC, use_beta_sigmas=False, use_karras_sigmas=True)
    config = make_scheduler(sampler, own, steps=2).config
    assert (config.flow_shift, config.use_flow_sigmas, config.use_karras_sigmas) == (3.0, True, False)

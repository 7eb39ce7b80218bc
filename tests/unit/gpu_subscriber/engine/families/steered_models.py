"""Models that control networks and IP-Adapters steer, and diffusers' pipelines for them."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from diffusers import ControlNetModel, FluxControlNetModel

from tests.unit.gpu_subscriber.engine.families.family_cases import CASES as ALL_CASES
from tests.unit.gpu_subscriber.engine.tiny_pipelines import tiny_stable_diffusion

CASES = {
    **ALL_CASES,
    # Control networks have a middle block; files of IP-Adapters number its layers after those of the others.
    "stable_diffusion": replace(
        ALL_CASES["stable_diffusion"],
        save=partial(tiny_stable_diffusion, mid_block_type="UNetMidBlock2DCrossAttn"),
    ),
}


def control_network(stock: Any, seed: int) -> Any:
    """Return an untrained control network for a pipeline, whose residuals are not zero."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if hasattr(stock, "unet"):
            network: Any = ControlNetModel.from_unet(
                stock.unet, conditioning_embedding_out_channels=(4, 4, 8, 8)
            )
        else:
            network = FluxControlNetModel.from_transformer(
                stock.transformer,
                num_layers=1,
                num_single_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
            )
        for weight in network.parameters():
            if not weight.any():
                torch.nn.init.normal_(weight, std=0.05)
    return network


def controlled_pipeline(stock: Any, network: Any, kind: Any) -> Any:
    """Return a ControlNet pipeline of this class over the networks of another pipeline."""
    modules, options = kind._get_signature_keys(kind)
    parts = {each: stock.components.get(each) for each in modules}
    named = {each: stock.config[each] for each in options if each in stock.config}
    pipeline = kind(**{**parts, "controlnet": network}, **named)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline

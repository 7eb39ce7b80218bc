"""LoRA files with random weights for tiny pipelines, in the formats that people have."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]
SIZE = 0.3
"""Large enough that each LoRA changes the image visibly."""


def peft_lora(
    pipeline: Any, file: Path, *, components: tuple[str, ...], rank: int = 4, seed: int = 1, every: int = 1
) -> Path:
    """Save a LoRA of the components' layers, by their modules' names; `every` second, third … layer."""
    tensors: Tensors = {}
    for component in components:
        for name, down, up in list(_matrices(getattr(pipeline, component), rank, seed))[::every]:
            tensors[f"{component}.{name}.lora_A.weight"] = down
            tensors[f"{component}.{name}.lora_B.weight"] = up
    save_file(tensors, file)
    return file


def kohya_lora(
    pipeline: Any,
    file: Path,
    *,
    prefixes: Mapping[str, str],
    rank: int = 4,
    alpha: float = 2.0,
    seed: int = 1,
) -> Path:
    """Save a LoRA under the names of the kohya scripts, with an alpha for each module."""
    tensors: Tensors = {}
    for component, prefix in prefixes.items():
        for name, down, up in _matrices(getattr(pipeline, component), rank, seed):
            in_full = f"text_model.{name}" if "_te" in prefix and "text_model" not in name else name
            key = f"{prefix}_{in_full.replace('.', '_')}"
            tensors |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
            tensors[f"{key}.alpha"] = torch.tensor(alpha)
    save_file(tensors, file)
    return file


def flux_kohya_lora(transformer: Any, file: Path, *, rank: int = 4, alpha: float = 2.0) -> Path:
    """Save a LoRA under the names of FLUX.1's original layers, as the kohya scripts write it.

    Without `linear1` of the single blocks, whose converter assumes the width of the published model.
    """
    tensors: Tensors = {}
    for name, down, up in _flux_matrices(transformer, rank):
        key = f"lora_unet_{name}"
        tensors |= {f"{key}.lora_down.weight": down, f"{key}.lora_up.weight": up}
        tensors[f"{key}.alpha"] = torch.tensor(alpha)
    save_file(tensors, file)
    return file


def flux_xlabs_lora(transformer: Any, file: Path, *, rank: int = 4) -> Path:
    """Save a LoRA of FLUX.1's attention as XLabs writes it."""
    width = transformer.inner_dim
    tensors: Tensors = {}
    for number, name in enumerate(("proj_lora1", "qkv_lora1", "proj_lora2", "qkv_lora2")):
        outputs = 3 * width if "qkv" in name else width
        key, random = f"double_blocks.0.processor.{name}", _random(number)
        tensors |= {f"{key}.down.weight": random(rank, width), f"{key}.up.weight": random(outputs, rank)}
    save_file(tensors, file)
    return file


def _flux_matrices(transformer: Any, rank: int) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    width = transformer.inner_dim
    double, single = transformer.transformer_blocks[0], transformer.single_transformer_blocks[0]
    hidden = double.ff.net[0].proj.out_features
    shapes = {
        "double_blocks_0_img_attn_proj": (width, width),
        "double_blocks_0_img_attn_qkv": (3 * width, width),
        "double_blocks_0_txt_attn_qkv": (3 * width, width),
        "double_blocks_0_img_mlp_0": (hidden, width),
        "double_blocks_0_img_mlp_2": (width, hidden),
        "single_blocks_0_linear2": (width, single.proj_out.in_features),
    }
    random = _random(1)
    for name, (outputs, inputs) in shapes.items():
        yield name, random(rank, inputs), random(outputs, rank)


def _random(seed: int) -> Callable[..., torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> torch.Tensor:
        return SIZE * torch.randn(shape, generator=generator) / shape[1] ** 0.5

    return random


def _matrices(
    network: torch.nn.Module, rank: int, seed: int
) -> Iterator[tuple[str, torch.Tensor, torch.Tensor]]:
    random = _random(seed)
    for name, module in network.named_modules():
        if not _is_target(name):
            continue
        if isinstance(module, torch.nn.Linear):
            yield name, random(rank, module.in_features), random(module.out_features, rank)
        elif isinstance(module, torch.nn.Conv2d) and module.groups == 1:
            down = random(rank, module.in_channels, *module.kernel_size)
            yield name, down, random(module.out_channels, rank, 1, 1)


def _is_target(name: str) -> bool:
    """Return whether LoRAs usually change this layer: those of blocks, not of embeddings."""
    return "block" in name or "layers." in name

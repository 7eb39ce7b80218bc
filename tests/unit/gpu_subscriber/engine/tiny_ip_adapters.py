"""IP-Adapter files with random weights for tiny pipelines, in the layouts that are published."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

Tensors = dict[str, torch.Tensor]
EMBEDDING, HIDDEN, HEAD = 12, 16, 64
SIZE = 0.5
"""Large enough that each adapter changes the image visibly."""


def tiny_image_encoder(folder: Path) -> Path:
    """Save a CLIP vision model that reads squares of 32 pixels."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        config: Any = CLIPVisionConfig(
            hidden_size=HIDDEN,
            intermediate_size=32,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=32,
            patch_size=16,
            projection_dim=EMBEDDING,
        )
        CLIPVisionModelWithProjection(config).save_pretrained(folder, safe_serialization=True)
    return folder


def tiny_ip_adapter(unet: Any, file: Path, *, kind: str = "plain", seed: int = 1) -> Path:
    """Save an adapter for a UNet: `plain`, `plus` or `full`, by how it projects what CLIP computes."""
    random = torch.Generator().manual_seed(seed)
    width = unet.config.cross_attention_dim

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random) * SIZE

    tensors = {f"image_proj.{name}": drawn(*shape) for name, shape in _PROJECTIONS[kind](width).items()}
    cross = [name for name in unet.attn_processors if name.endswith("attn2.processor")]
    for number, name in enumerate(cross):
        inner = unet.get_submodule(name.removesuffix(".processor")).inner_dim
        for part in "kv":
            tensors[f"ip_adapter.{2 * number + 1}.to_{part}_ip.weight"] = drawn(inner, width)
    save_file(tensors, file)
    return file


def _plain(width: int) -> Mapping[str, tuple[int, ...]]:
    return {
        "proj.weight": (4 * width, EMBEDDING),
        "proj.bias": (4 * width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }


def _full(width: int) -> Mapping[str, tuple[int, ...]]:
    return {
        "proj.0.weight": (HIDDEN, HIDDEN),
        "proj.0.bias": (HIDDEN,),
        "proj.2.weight": (width, HIDDEN),
        "proj.2.bias": (width,),
        "proj.3.weight": (width,),
        "proj.3.bias": (width,),
    }


def _plus(width: int) -> Mapping[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (1, 3, HEAD),
        "proj_in.weight": (HEAD, HIDDEN),
        "proj_in.bias": (HEAD,),
        "proj_out.weight": (width, HEAD),
        "proj_out.bias": (width,),
        "norm_out.weight": (width,),
        "norm_out.bias": (width,),
    }
    for layer in range(4):
        shapes |= {
            f"layers.{layer}.0.norm1.weight": (HEAD,),
            f"layers.{layer}.0.norm1.bias": (HEAD,),
            f"layers.{layer}.0.norm2.weight": (HEAD,),
            f"layers.{layer}.0.norm2.bias": (HEAD,),
            f"layers.{layer}.0.to_q.weight": (HEAD, HEAD),
            f"layers.{layer}.0.to_kv.weight": (2 * HEAD, HEAD),
            f"layers.{layer}.0.to_out.weight": (HEAD, HEAD),
            f"layers.{layer}.1.0.weight": (HEAD,),
            f"layers.{layer}.1.0.bias": (HEAD,),
            f"layers.{layer}.1.1.weight": (4 * HEAD, HEAD),
            f"layers.{layer}.1.3.weight": (HEAD, 4 * HEAD),
        }
    return shapes


_PROJECTIONS = {"plain": _plain, "full": _full, "plus": _plus}

"""Write diffusers pipelines as single files in the original layouts of Stable Diffusion and SDXL."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]

_RESNET = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0", "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip
_UNET = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0", "add_embedding.linear_2": "label_emb.0.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
    "mid_block.resnets.0": "middle_block.0", "mid_block.attentions.0": "middle_block.1",
    "mid_block.resnets.1": "middle_block.2",
}  # fmt: skip
_VAE = {
    "conv_norm_out": "norm_out", "conv_shortcut": "nin_shortcut",
    "mid_block.resnets.0": "mid.block_1", "mid_block.resnets.1": "mid.block_2",
    "mid_block.attentions.0": "mid.attn_1",
    "group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out",
}  # fmt: skip
_OPEN_CLIP = {
    "embeddings.position_embedding.weight": "positional_embedding", "embeddings.token_embedding": "token_embedding",
    "final_layer_norm": "ln_final", "encoder.layers": "transformer.resblocks", "self_attn": "attn",
    "layer_norm1": "ln_1", "layer_norm2": "ln_2", "fc1": "c_fc", "fc2": "c_proj",
}  # fmt: skip


def save_original_layout(pipeline: Any, file: Path) -> Path:
    """Save a StableDiffusionPipeline or StableDiffusionXLPipeline as one file; return the file."""
    is_xl = hasattr(pipeline, "text_encoder_2")
    first = "conditioner.embedders.0.transformer." if is_xl else "cond_stage_model.transformer."
    tensors = {
        **_prefixed("model.diffusion_model.", _unet(pipeline.unet)),
        **_prefixed("first_stage_model.", _vae(pipeline.vae)),
        **_prefixed(first + "text_model.", _clip(pipeline.text_encoder)),
    }
    # Published files contain more than the networks' weights.
    tensors |= {
        first + "text_model.embeddings.position_ids": torch.arange(8)[None],
        "model_ema.decay": torch.tensor(0.9999),
        "alphas_cumprod": torch.linspace(1, 0, 1000),
    }
    if is_xl:
        tensors["conditioner.embedders.1.model.logit_scale"] = torch.tensor(4.6)
        tensors |= _prefixed("conditioner.embedders.1.model.", _open_clip(pipeline.text_encoder_2))
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, file)
    return file


def _unet(unet: Any) -> Tensors:
    per_block = unet.config.layers_per_block + 1
    names = dict(_UNET)
    for number, block in enumerate(unet.down_blocks):
        for layer in range(per_block - 1):
            place = f"input_blocks.{1 + number * per_block + layer}"
            names[f"down_blocks.{number}.resnets.{layer}"] = f"{place}.0"
            names[f"down_blocks.{number}.attentions.{layer}"] = f"{place}.1"
        names[f"down_blocks.{number}.downsamplers.0.conv"] = f"input_blocks.{(number + 1) * per_block}.0.op"
        assert len(block.resnets) == per_block - 1
    for number, block in enumerate(unet.up_blocks):
        for layer in range(per_block):
            place = f"output_blocks.{number * per_block + layer}"
            names[f"up_blocks.{number}.resnets.{layer}"] = f"{place}.0"
            names[f"up_blocks.{number}.attentions.{layer}"] = f"{place}.1"
        position = 2 if hasattr(block, "attentions") else 1
        last = number * per_block + per_block - 1
        names[f"up_blocks.{number}.upsamplers.0.conv"] = f"output_blocks.{last}.{position}.conv"
    renamed = _renamed(unet.state_dict(), names)
    # The network's own names contain those of its resnets' layers; attention blocks keep theirs.
    return {
        name if "attentions" in old else _replaced(name, _RESNET): tensor
        for (name, tensor), old in zip(renamed.items(), unet.state_dict(), strict=True)
    }


def _vae(vae: Any) -> Tensors:
    blocks = len(vae.config.block_out_channels)
    names = {}
    for number in range(blocks):
        up = f"decoder.up.{blocks - 1 - number}"
        names[f"encoder.down_blocks.{number}.resnets"] = f"encoder.down.{number}.block"
        names[f"encoder.down_blocks.{number}.downsamplers.0.conv"] = f"encoder.down.{number}.downsample.conv"
        names[f"decoder.up_blocks.{number}.resnets"] = f"{up}.block"
        names[f"decoder.up_blocks.{number}.upsamplers.0.conv"] = f"{up}.upsample.conv"
    tensors = {_replaced(name, _VAE): tensor for name, tensor in _renamed(vae.state_dict(), names).items()}
    # The original attention is a convolution of one pixel.
    return {
        name: tensor[:, :, None, None] if ".attn_1." in name and tensor.ndim == 2 else tensor
        for name, tensor in tensors.items()
    }


def _clip(encoder: Any) -> Tensors:
    return {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}


def _open_clip(encoder: Any) -> Tensors:
    tensors: Tensors = {}
    for name, tensor in _clip(encoder).items():
        if name == "text_projection.weight":
            tensors["text_projection"] = tensor.T
        elif match := re.fullmatch(r"(.*self_attn)\.q_proj\.(weight|bias)", name):
            joined = [_clip(encoder)[f"{match[1]}.{part}_proj.{match[2]}"] for part in "qkv"]
            tensors[_replaced(match[1], _OPEN_CLIP) + f".in_proj_{match[2]}"] = torch.cat(joined)
        elif not re.search(r"self_attn\.[kv]_proj", name):
            tensors[_replaced(name, _OPEN_CLIP).replace("mlp.fc", "mlp.c_fc")] = tensor
    return tensors


def _renamed(tensors: Mapping[str, torch.Tensor], names: Mapping[str, str]) -> Tensors:
    """Rename by the longest prefix that ends at a dot."""
    longest = sorted(names, key=len, reverse=True)

    def new_name(name: str) -> str:
        for old in longest:
            if name.startswith(f"{old}."):
                return names[old] + name.removeprefix(old)
        return name

    return {new_name(name): tensor for name, tensor in tensors.items()}


def _replaced(name: str, parts: Mapping[str, str]) -> str:
    """Replace whole parts between dots."""
    for old, new in parts.items():
        name = re.sub(rf"(^|\.){re.escape(old)}(\.|$)", rf"\g<1>{new}\g<2>", name)
    return name


def _prefixed(prefix: str, tensors: Tensors) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}

"""Stock diffusers pipelines with tiny, seeded, untrained networks, for fast tests."""

import json
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import CLIPConfig, CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TOKENS = 16
TEXT_WIDTH = 32
SIDE = 32
"""Pixels: 4 × 4 latents of the tiny autoencoder's factor 8."""


def tiny_stable_diffusion(
    folder: Path, *, prediction_type: str = "v_prediction", seed: int = 0, **unet: object
) -> Path:
    """Save a StableDiffusionPipeline into `folder`; `unet` overrides its network's configuration."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        pipeline: Any = StableDiffusionPipeline(
            vae=_autoencoder(),
            text_encoder=_text_encoder(),
            tokenizer=byte_tokenizer(folder / "tokenizer-source"),
            unet=_unet(**unet),
            scheduler=DDIMScheduler(
                beta_start=1e-4,
                beta_end=0.02,
                clip_sample=False,
                steps_offset=1,
                prediction_type=prediction_type,
                timestep_spacing="trailing",
            ),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def tiny_latent_consistency(folder: Path) -> Path:
    """Save a LatentConsistencyModelPipeline, a class that no stepping family serves."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        pipeline: Any = LatentConsistencyModelPipeline(
            vae=_autoencoder(),
            text_encoder=_text_encoder(),
            tokenizer=byte_tokenizer(folder / "tokenizer-source"),
            unet=_unet(time_cond_proj_dim=16),
            scheduler=LCMScheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def tiny_safety_checker(folder: Path, *, refuses: bool) -> Path:
    """Save a safety checker that refuses every image, or none."""
    encoder = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(2)
        config: Any = CLIPConfig(
            text_config=encoder,
            vision_config={**encoder, "image_size": 32, "patch_size": 8},
            projection_dim=8,
        )
        checker: Any = StableDiffusionSafetyChecker(config)
        torch.nn.init.normal_(checker.concept_embeds)
    # A cosine exceeds -2 always and 2 never.
    checker.concept_embeds_weights.data.fill_(-2.0 if refuses else 2.0)
    checker.special_care_embeds_weights.data.fill_(2.0)
    checker.save_pretrained(folder, safe_serialization=True)
    return folder


def _autoencoder() -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        mid_block_add_attention=False,
    )


def _unet(**more: object) -> UNet2DConditionModel:
    config: dict[str, Any] = {
        "sample_size": SIDE // 8,
        "in_channels": 4,
        "out_channels": 4,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "mid_block_type": None,
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "block_out_channels": (16, 32),
        "layers_per_block": 1,
        "cross_attention_dim": TEXT_WIDTH,
        "attention_head_dim": 2,
        "norm_num_groups": 4,
        **more,
    }
    return UNet2DConditionModel(**config)


def _text_encoder() -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=514,
            hidden_size=TEXT_WIDTH,
            intermediate_size=64,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=TOKENS,
            bos_token_id=512,
            eos_token_id=513,
            pad_token_id=513,
        )
    )


def byte_letters() -> list[str]:
    """Return GPT-2's printable stand-ins for the 256 bytes."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(hidden))]


def byte_tokenizer(folder: Path, *, tokens: int = TOKENS) -> CLIPTokenizer:
    """Save a tokenizer with every byte as a token and no merges."""
    folder.mkdir(parents=True)
    letters = byte_letters()
    every = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(every)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return CLIPTokenizer(
        vocab=str(folder / "vocab.json"), merges=str(folder / "merges.txt"), model_max_length=tokens
    )

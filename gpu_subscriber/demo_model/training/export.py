"""Export of the trained networks to a folder that any Stable Diffusion program can load."""

from pathlib import Path
from typing import Any

from diffusers import StableDiffusionPipeline
from transformers import CLIPTokenizer

from gpu_subscriber.demo_model.training.networks import (
    Autoencoder,
    TextEncoder,
    UNet,
    new_autoencoder,
    new_scheduler,
    new_text_encoder,
    new_unet,
)


def export(
    folder: Path,
    *,
    tokenizer: CLIPTokenizer,
    autoencoder: Autoencoder,
    text_encoder: TextEncoder,
    unet: UNet,
) -> None:
    """Write safetensors in the stock layout, without the changes for faster training.

    U-Net and autoencoder are stored in half precision; diffusers loads them as float32 by default.
    The text encoder is stored in float32, because transformers loads it in the precision of the
    file.
    """
    fresh_autoencoder = new_autoencoder()
    fresh_autoencoder.register_to_config(scaling_factor=autoencoder.config.scaling_factor)
    pipeline: Any = StableDiffusionPipeline(
        vae=_copied(autoencoder, fresh_autoencoder).half(),
        text_encoder=_copied(text_encoder, new_text_encoder(tokenizer)),
        tokenizer=tokenizer,
        unet=_copied(unet, new_unet()).half(),
        scheduler=new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder, safe_serialization=True)


def _copied(source: Any, target: Any) -> Any:
    target.load_state_dict(source.state_dict())
    return target

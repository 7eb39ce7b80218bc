"""The sizes of the three networks, independent of their training.

All three are stock classes with small sizes, so that any program for Stable Diffusion can run the
model.
"""

from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

# diffusers loads its classes lazily, and mypy sees empty placeholders; these aliases document the
# types.
Autoencoder = Any
UNet = Any
TextEncoder = Any
Scheduler = Any

LATENT_CHANNELS = 4
TOKEN_COUNT = 32
TEXT_WIDTH = 128


def new_autoencoder() -> Autoencoder:
    """Return an autoencoder with eight pixels per latent.

    Most weights are at the size of the latents, where outlines are restored from distorted ones.
    There is no attention: it would make the result for a patch depend on the image size. There is
    one norm group for all channels. A norm over two of sixteen channels, the usual share, removes
    the brightness of the image, and the decoder had to recover it from the zero padding at the
    border.
    """
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 24, 64, 128),
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=1,
        sample_size=256,
        mid_block_add_attention=False,
    )


def new_text_encoder(tokenizer: CLIPTokenizer) -> TextEncoder:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=TEXT_WIDTH,
        intermediate_size=4 * TEXT_WIDTH,
        projection_dim=TEXT_WIDTH,
        num_hidden_layers=4,
        num_attention_heads=4,
        max_position_embeddings=TOKEN_COUNT,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return CLIPTextModel(config)


def new_unet() -> UNet:
    """Return a U-Net for 32×32 latents (256 pixels).

    Most weights are at 8×8, where a weight costs the fewest multiplications.
    """
    return UNet2DConditionModel(
        sample_size=32,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        mid_block_type=None,
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(32, 96, 128),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def new_scheduler() -> Scheduler:
    """Return a scheduler with almost no signal at the last step (alpha_bar 4e-5).

    So flat white and black backgrounds come out flat. `skip_prk_steps` is not an option of DDIM:
    PNDM reads it when it is created from this config. `steps_offset` has no effect on trailing
    timesteps; the stock pipeline warns about any value but 1.
    """
    return DDIMScheduler.from_config(
        {
            "num_train_timesteps": 1000,
            "beta_start": 1e-4,
            "beta_end": 0.02,
            "beta_schedule": "linear",
            "clip_sample": False,
            "set_alpha_to_one": True,
            "steps_offset": 1,
            "prediction_type": "v_prediction",
            "timestep_spacing": "trailing",
            "skip_prk_steps": True,
        }
    )

"""The sizes of the three networks, and nothing about how they are trained.

All three are stock classes, so any program that runs Stable Diffusion runs this one; only the numbers are small.
"""

from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

# diffusers loads its classes lazily, and mypy sees empty stand-ins; these say in names what the types cannot.
Autoencoder = Any
UNet = Any
TextEncoder = Any
Scheduler = Any

LATENT_CHANNELS = 4
TOKEN_COUNT = 32
TEXT_WIDTH = 128


def new_autoencoder() -> Autoencoder:
    """Eight pixels to a latent. Most weights sit at the latents' own size, where outlines are made out of wobbly ones.

    No attention: it would make a patch's look depend on the picture's size. One group for all channels: a norm over two
    of sixteen, as the usual share would be, forgets how bright the picture is, and the decoder had to learn it back
    from what the zero padding leaves along the border.
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
    """32×32 latents for 256 pixels. Most weights sit at 8×8, where a weight costs the fewest multiplications."""
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
    """Almost no signal at the last step (alpha_bar 4e-5), so flat white and black backgrounds come out flat.

    `skip_prk_steps` is not DDIM's: it travels to PNDM when that is made from this config. `steps_offset` has no
    effect on trailing timesteps; the stock pipeline warns about any value but 1.
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

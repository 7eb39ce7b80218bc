"""Training of the decoder on latents of the trained U-Net.

Noise is added to the latents of a known scene, and the U-Net removes it. The result has the U-Net's
own errors (wobbly outlines, dull colours), and the correct image is known.
"""

import random
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer

from gpu_subscriber.demo_model.descriptions import Description
from gpu_subscriber.demo_model.phrases import phrase
from gpu_subscriber.demo_model.scenes import Scene, draw, lay_out_random
from gpu_subscriber.demo_model.training.autoencoder_half import PicturesAndLatents, train_half
from gpu_subscriber.demo_model.training.networks import Autoencoder, TextEncoder, UNet, new_scheduler
from gpu_subscriber.demo_model.training.stage import Cores, pictures_to_tensor
from gpu_subscriber.demo_model.training.taught_latents import PIXELS_PER_LATENT, taught_latents
from gpu_subscriber.demo_model.training.text import tokenize
from gpu_subscriber.demo_model.training.upsampler import begin_as_upsampler

LEARNING_RATE = 0.03
"""For weights with a fan-in of 1; others use it divided by their fan-in."""
FAN_IN_OF_BIASES = 20
OBJECT_WEIGHT = 3.0
"""Objects cover little of each image: without this weight the background would dominate."""
GUIDANCE = 3.0
SAMPLING_STEPS = 20
FIRST_STEPS = (7, 9, 11)
"""Of 20 steps: where the U-Net starts. The earliest still leaves every object in its place."""
CHUNK = 8


def redrawn_scenes(
    unet: UNet, text_encoder: TextEncoder, tokenizer: CLIPTokenizer, *, count: int, seed: int, device: str
) -> tuple[list[Scene], Tensor]:
    """Return scenes, none held out, and the U-Net's latents, (count, 4, 32, 32) float16."""
    asked, scenes = lay_out_random(count, seed)

    @torch.no_grad()
    def redrawn(first: int) -> Tensor:
        chunk = slice(first, first + CHUNK)
        latents = torch.from_numpy(np.stack([taught_latents(scene, 256) for scene in scenes[chunk]])).to(
            device
        )
        hidden = _hidden(asked[chunk], random.Random(seed + first), tokenizer, text_encoder, device)
        return _redrawn(unet, hidden, latents, seed + first).half().cpu()

    return scenes, torch.cat(Cores(device).map(redrawn, range(0, count, CHUNK)))


def train_decoder(
    folder: Path,
    autoencoder: Autoencoder,
    redrawn: tuple[list[Scene], Tensor],
    *,
    from_scratch: bool,
    steps: int,
    seed: int,
    device: str,
) -> Autoencoder:
    """Return the autoencoder with its decoder averaged over the last steps."""
    if from_scratch:
        begin_as_upsampler(autoencoder)
    parameters = [*autoencoder.post_quant_conv.parameters(), *autoencoder.decoder.parameters()]
    return train_half(
        "decoder",
        autoencoder,
        {parameter: _rate_by_fan_in(parameter) for parameter in parameters},
        batch_of=lambda step, random_source: _batch(redrawn, random_source, step % 2 == 0, device),
        loss_of=_loss,
        decay=0.995,
        folder=folder,
        steps=steps,
        seed=seed,
        device=device,
    )


def _rate_by_fan_in(parameter: nn.Parameter) -> float:
    """Return the learning rate of a parameter, divided by its fan-in.

    Adam changes every weight by the same amount, and the weights of one channel mostly in the same
    direction. Since everything adds to one stream here, wide layers would overshoot, and narrow
    ones would learn too slowly.
    """
    return LEARNING_RATE / (parameter[0].numel() if parameter.dim() > 1 else FAN_IN_OF_BIASES)


def _picture_loss(drawn: Tensor, pictures: Tensor) -> Tensor:
    """Loss of colours, weighted by object, and of differences of neighbours, for sharp edges."""
    difference = drawn - pictures
    is_object = (pictures - pictures[:, :, :1, :1]).abs().amax(1, keepdim=True) > 0.05
    weight = 1 + OBJECT_WEIGHT * is_object
    colours = (weight * (difference.square() + 0.5 * difference.abs())).mean()
    edges = difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()
    return colours + 0.5 * edges


def _corner_near_object(scene: Scene, random_source: random.Random, side: int) -> tuple[int, int]:
    """Return (top, left), in latents, of a crop with an object near its centre."""
    placed = random_source.choice(scene.objects)
    most = (256 - side) // PIXELS_PER_LATENT
    top, left = (
        round((at * 256 - side / 2) / PIXELS_PER_LATENT) + random_source.randint(-2, 2)
        for at in (placed.y, placed.x)
    )
    return min(max(top, 0), most), min(max(left, 0), most)


def _hidden(
    asked: list[Description],
    random_source: random.Random,
    tokenizer: CLIPTokenizer,
    text_encoder: TextEncoder,
    device: str,
) -> Tensor:
    """Return (2n, tokens, width): empty phrases first, then phrases, as the stock pipeline."""
    phrases = [""] * len(asked) + [phrase(each, random_source) for each in asked]
    hidden: Tensor = text_encoder(tokenize(tokenizer, phrases).to(device)).last_hidden_state
    return hidden


def _redrawn(unet: UNet, hidden: Tensor, latents: Tensor, seed: int) -> Tensor:
    scheduler = new_scheduler()
    scheduler.set_timesteps(SAMPLING_STEPS)
    generator = torch.Generator(latents.device).manual_seed(seed)
    timesteps = scheduler.timesteps[FIRST_STEPS[seed // CHUNK % len(FIRST_STEPS)] :]
    noise = torch.randn(latents.shape, generator=generator, device=latents.device)
    latents = scheduler.add_noise(latents, noise, timesteps[:1])
    for timestep in timesteps:
        with torch.autocast(latents.device.type, torch.bfloat16):
            both = torch.cat([latents, latents]).contiguous(memory_format=torch.channels_last)
            without, with_phrase = unet(both, timestep, hidden).sample.float().chunk(2)
        guided = without + GUIDANCE * (with_phrase - without)
        latents = scheduler.step(guided, timestep, latents).prev_sample
    return latents


def _loss(autoencoder: Autoencoder, part: PicturesAndLatents) -> Tensor:
    pictures, latents = part
    with torch.autocast(pictures.device.type, torch.bfloat16):
        drawn = autoencoder.decode(latents.contiguous(memory_format=torch.channels_last)).sample.float()
    return _picture_loss(drawn, pictures)


def _batch(
    redrawn: tuple[list[Scene], Tensor], random_source: random.Random, in_parts: bool, device: str
) -> PicturesAndLatents:
    """Return images (b, 3, s, s) and the U-Net's latents of them: whole, or crops around an object.

    Half of them are mirrored; all shapes have mirror symmetry.
    """
    scenes, all_latents = redrawn
    side, count = (128, 8) if in_parts else (256, 4)
    pictures, latents = [], []
    for number in random_source.sample(range(len(scenes)), count):
        top, left = _corner_near_object(scenes[number], random_source, side)
        cells = side // PIXELS_PER_LATENT
        seen = all_latents[number, :, top : top + cells, left : left + cells]
        y, x = top * PIXELS_PER_LATENT, left * PIXELS_PER_LATENT
        picture = draw(scenes[number], 256)[y : y + side, x : x + side]
        mirrored = random_source.random() < 0.5
        latents.append(seen.flip(2) if mirrored else seen)
        pictures.append(picture[:, ::-1] if mirrored else picture)
    return pictures_to_tensor(np.stack(pictures), device), torch.stack(latents).float().to(device)

"""Training of the U-Net together with the text encoder.

First on latents of small images, where a step costs a quarter, then on full-size ones.
"""

import random
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import CLIPTokenizer

from gpu_subscriber.demo_model.phrases import phrase
from gpu_subscriber.demo_model.training.fast_layers import quicken
from gpu_subscriber.demo_model.training.latents import LatentScenes
from gpu_subscriber.demo_model.training.networks import TextEncoder, UNet, new_scheduler, new_unet
from gpu_subscriber.demo_model.training.stage import (
    AveragedWeights,
    Cores,
    Resumable,
    learning_rate_factor,
    logged_steps,
    seed_everything,
)
from gpu_subscriber.demo_model.training.text import Examiner, answers, tokenize

LEARNING_RATE = 1e-3
TEXT_LEARNING_RATE = 2e-4
DROPPED_PHRASES = 0.1
"""Share of phrases replaced by the empty one, for classifier-free guidance."""
LARGEST_WEIGHTED_SNR = 5.0
"""As in min-SNR weighting (Hang et al. 2023), nearly clean latents do not dominate. Unlike there,
the noisiest latents, which decide the layout, keep their full weight.
"""
QUESTION_WEIGHT = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """`steps` optimizer steps on batches of `batch` from `scenes`."""

    scenes: LatentScenes
    batch: int
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """The networks that are trained together."""

    unet: UNet
    text_encoder: TextEncoder
    examiner: Examiner

    def parameters(self) -> list[nn.Parameter]:
        networks = (self.unet, self.text_encoder, self.examiner)
        return [parameter for network in networks for parameter in network.parameters()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A batch; all tensors are (b, …).

    Tokens; noisy latents and their velocity (b, 4, s, s); timesteps; weights of the squared error
    (b, 1, s, s); the answers for each phrase, and whether it was kept or dropped.
    """

    tokens: Tensor
    noisy: Tensor
    velocity: Tensor
    timesteps: Tensor
    weight: Tensor
    right: Tensor
    spoken: Tensor

    def split(self, parts: int) -> list["Batch"]:
        """Split the batch: each part takes every `parts`-th image, and so noise of all strengths."""
        return [
            Batch(**{field.name: getattr(self, field.name)[part::parts] for field in fields(self)})
            for part in range(parts)
        ]


def train_diffusion(
    folder: Path,
    tokenizer: CLIPTokenizer,
    text: tuple[TextEncoder, Examiner],
    phases: list[Phase],
    *,
    begin_with: UNet | None,
    seed: int,
    device: str,
) -> tuple[UNet, TextEncoder]:
    """Train the networks and return their averages."""
    seed_everything(seed)
    unet = begin_with if begin_with is not None else new_unet()
    unet.to(device, memory_format=torch.channels_last)
    quicken(unet)
    networks = Networks(unet=unet, text_encoder=text[0], examiner=text[1])
    both = nn.ModuleDict({"unet": unet, "text_encoder": text[0]})
    averaged = AveragedWeights(both, decay=0.999)
    optimizer = _optimizer(networks)
    state = Resumable(
        folder / "diffusion.pt", networks=both, examiner=text[1], averaged=averaged, optimizer=optimizer
    )
    cores = Cores(device)
    losses: list[float] = []
    steps = sum(phase.steps for phase in phases)
    for step in logged_steps("diffusion", state.load(), steps, losses):
        random_source = random.Random(seed * 1_000_003 + step)
        torch.manual_seed(seed * 1_000_003 + step)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * learning_rate_factor(step, steps)
        batch = _batch(tokenizer, _phase_at(phases, step), random_source, device)
        loss = cores.backward(partial(_loss, networks), batch.split(cores.parts), networks.parameters())
        torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimizer.step()
        averaged.update(both)
        losses.append(loss)
        if (step + 1) % 250 == 0 or step + 1 == steps:
            state.save(step + 1)
    trained = averaged.network
    return trained["unet"], trained["text_encoder"]


def _optimizer(networks: Networks) -> torch.optim.AdamW:
    text = [*networks.text_encoder.parameters(), *networks.examiner.parameters()]
    groups = [
        {"params": list(networks.unet.parameters()), "lr": LEARNING_RATE, "initial_lr": LEARNING_RATE},
        {"params": text, "lr": TEXT_LEARNING_RATE, "initial_lr": TEXT_LEARNING_RATE},
    ]
    return torch.optim.AdamW(groups, betas=(0.9, 0.99), weight_decay=0.01, fused=True)


def _phase_at(phases: list[Phase], step: int) -> Phase:
    """Return the phase of a step.

    The phases follow each other, but every eighth step of a later one repeats an earlier one, so
    that no size is unlearned.
    """
    for number, phase in enumerate(phases):
        if step < phase.steps:
            return phases[0] if number and step % 8 == 7 else phase
        step -= phase.steps
    raise ValueError("step is beyond the last phase")


def _batch(tokenizer: CLIPTokenizer, phase: Phase, random_source: random.Random, device: str) -> Batch:
    chosen = random_source.sample(range(len(phase.scenes.descriptions)), phase.batch)
    asked = [phase.scenes.descriptions[number] for number in chosen]
    dropped = [random_source.random() < DROPPED_PHRASES for _ in asked]
    spoken = ["" if drop else phrase(each, random_source) for each, drop in zip(asked, dropped, strict=True)]
    clean = phase.scenes.latents[chosen].to(device).float()
    object_weights = phase.scenes.object_weights[chosen].to(device).float()
    timesteps = _timesteps(phase.batch, device)
    signal = new_scheduler().alphas_cumprod.to(device)[timesteps][:, None, None, None]
    noise = torch.randn_like(clean)
    snr = signal / (1 - signal)
    return Batch(
        tokens=tokenize(tokenizer, spoken).to(device),
        noisy=signal.sqrt() * clean + (1 - signal).sqrt() * noise,
        velocity=signal.sqrt() * noise - (1 - signal).sqrt() * clean,
        timesteps=timesteps,
        weight=object_weights
        / object_weights.mean()
        * (snr + 1).clamp(max=LARGEST_WEIGHTED_SNR + 1)
        / (snr + 1),
        right=torch.tensor([answers(description) for description in asked], device=device),
        spoken=torch.tensor([not drop for drop in dropped], device=device),
    )


def _loss(networks: Networks, batch: Batch) -> Tensor:
    """Weighted squared error of the velocity, plus a small term for the phrase questions."""
    with torch.autocast(batch.noisy.device.type, torch.bfloat16):
        hidden = networks.text_encoder(batch.tokens).last_hidden_state
        noisy = batch.noisy.contiguous(memory_format=torch.channels_last)
        predicted = networks.unet(noisy, batch.timesteps, hidden).sample.float()
    error = (batch.weight * (predicted - batch.velocity).square()).mean()
    question_loss = networks.examiner(hidden[batch.spoken], batch.right[batch.spoken])
    return error + QUESTION_WEIGHT * question_loss


def _timesteps(count: int, device: str) -> Tensor:
    """Return (count,) int64 in [0, 1000): a third uniform, the others mostly between 150 and 700.

    Outlines and shapes are decided in that range; at the noisy end the gradient is mostly noise.
    Each third is stratified over its distribution with one random shift, which makes the loss less
    noisy than independent samples.
    """
    even = count // 3
    everywhere = (torch.arange(even) + torch.rand(1)) / even
    spread = (torch.arange(count - even) + torch.rand(1)) / (count - even)
    middle = torch.sigmoid(torch.special.ndtri(spread.clamp(1e-4, 1 - 1e-4)) - 0.5)
    both = torch.cat([everywhere, middle])[torch.randperm(count)]
    return (both * 1000).long().clamp(max=999).to(device)

"""The clean latents (x0) that a prediction implies, whatever the sampler.

Previews are drawn from them.
"""

from typing import Any

import torch

from gpu_subscriber.engine.runs.run import Denoising


def clean_estimate(state: Denoising, prediction: torch.Tensor) -> torch.Tensor:
    """Return x0 from the guided prediction, before the sampler's step; both (1, C, h, w).

    The network's input is variance-preserving for every sampler here, so one formula serves them
    all: with alpha_bar of the current noise level, x0 = (x − √(1−ᾱ) ε) / √ᾱ, or √ᾱ x − √(1−ᾱ) v for
    v-prediction (diffusers' `DDIMScheduler.step`, formula 12 of https://arxiv.org/abs/2010.02502).
    """
    kind = state.scheduler.config.prediction_type
    if kind == "sample":
        return prediction
    alpha_bar = _alpha_bar(state.scheduler, state.timestep)
    signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    x = state.model_input
    if kind == "v_prediction":
        return signal * x - noise * prediction
    return (x - noise * prediction) / max(signal, 1e-4)


def _alpha_bar(scheduler: Any, timestep: torch.Tensor) -> float:
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is None:
        return float(scheduler.alphas_cumprod[int(timestep)])
    # The index is unset until the first step; that step starts at the first sigma.
    sigma = float(sigmas[scheduler.step_index or 0])
    return 1.0 / (1.0 + sigma * sigma)

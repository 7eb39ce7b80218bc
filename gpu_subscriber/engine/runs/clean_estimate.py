"""The clean latents (x0) that a prediction implies, whatever the sampler.

Previews are drawn from them.
"""

from typing import Any

import torch

from gpu_subscriber.engine.runs.run import Denoising


def clean_estimate(state: Denoising, prediction: torch.Tensor) -> torch.Tensor:
    """Return x0 from the guided prediction, before the sampler's step; both (1, C, h, w).

    The network's input is variance-preserving for every sampler of betas, so one formula serves them
    all: with alpha_bar of the current noise level, x0 = (x − √(1−ᾱ) ε) / √ᾱ, or √ᾱ x − √(1−ᾱ) v for
    v-prediction (diffusers' `DDIMScheduler.step`, formula 12 of https://arxiv.org/abs/2010.02502).
    Flow matching predicts the velocity v: x0 = x − σ v (https://arxiv.org/abs/2403.03206).
    """
    scheduler = state.scheduler
    kind = scheduler.config.get("prediction_type", "flow_prediction")
    if kind == "flow_prediction":
        return state.latents - _sigma(scheduler) * prediction
    if hasattr(scheduler, "precondition_outputs"):  # EDM (https://arxiv.org/abs/2206.00364)
        clean: torch.Tensor = scheduler.precondition_outputs(state.latents, prediction, _sigma(scheduler))
        return clean
    if kind == "sample":
        return prediction
    alpha_bar = _alpha_bar(scheduler, state.timestep)
    signal, noise = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    x = state.model_input
    if kind == "v_prediction":
        return signal * x - noise * prediction
    return (x - noise * prediction) / max(signal, 1e-4)


def _alpha_bar(scheduler: Any, timestep: torch.Tensor) -> float:
    if not hasattr(scheduler, "sigmas"):
        return float(scheduler.alphas_cumprod[int(timestep)])
    sigma = _sigma(scheduler)
    return 1.0 / (1.0 + sigma * sigma)


def _sigma(scheduler: Any) -> float:
    # The index is unset until the first step.
    index = scheduler.begin_index if scheduler.step_index is None else scheduler.step_index
    return float(scheduler.sigmas[index or 0])

"""The clean latents that predictions imply, and the previews that show them."""

from typing import Any

import pytest
import torch
from torch.nn.functional import adaptive_avg_pool2d

from common.domain.parameters import Sampler
from gpu_subscriber.engine.runs.clean_estimate import clean_estimate
from gpu_subscriber.engine.runs.run import Denoising
from tests.unit.gpu_subscriber.engine.families.conftest import ModelOf
from tests.unit.gpu_subscriber.engine.families.family_cases import Model, each_case, each_sampler
from tests.unit.gpu_subscriber.engine.families.schedulers import SCHEDULERS


@each_sampler()
def test_clean_estimate_of_a_perfect_prediction_is_exact(model: Model, sampler: Sampler) -> None:
    assert_estimates_are_exact(model, sampler)


@pytest.mark.parametrize("own", SCHEDULERS)
def test_clean_estimate_is_exact_over_each_scheduler(loaded_model: ModelOf, own: str) -> None:
    model = loaded_model("stable_diffusion").with_parts(scheduler=SCHEDULERS[own])
    for sampler in model.spec.samplers:
        assert_estimates_are_exact(model, sampler)


@torch.inference_mode()
def assert_estimates_are_exact(model: Model, sampler: Sampler) -> None:
    """Add known noise to known latents: at any noise level the estimate is those latents."""
    state = model.family.prepare(model.asked(sampler=sampler, steps=6), seed=0)
    generator = torch.Generator().manual_seed(1)
    clean, noise = (torch.randn(state.latents.shape, generator=generator) for _ in range(2))
    while not state.is_done:
        state.latents = noisy(state, clean=clean, noise=noise)
        target = perfect_prediction(state.scheduler, state.latents, clean=clean, noise=noise)
        assert torch.allclose(clean_estimate(state, target), clean, atol=2e-3), sampler
        state.advance(target)


def noisy(state: Denoising, *, clean: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Return the latents that the Run's sampler has at its current step."""
    at = state.timestep.reshape(1)
    if hasattr(state.scheduler, "scale_noise"):
        latents: torch.Tensor = state.scheduler.scale_noise(clean, at, noise)
    else:
        latents = state.scheduler.add_noise(clean, noise, at)
    return latents


def perfect_prediction(
    scheduler: Any, latents: torch.Tensor, *, clean: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Return what a perfect network predicts for these latents, a mixture of `clean` and `noise`."""
    parts = torch.stack([clean.flatten(), noise.flatten()], 1)
    signal, deviation = torch.linalg.lstsq(parts, latents.flatten()).solution
    if deviation_of_data := scheduler.config.get("sigma_data"):  # EDM
        total = (deviation**2 + deviation_of_data**2).sqrt()
        return (clean - latents * (deviation_of_data / total) ** 2) * total / (deviation * deviation_of_data)
    match kind := scheduler.config.get("prediction_type", "flow_prediction"):
        case "epsilon":
            return noise
        case "v_prediction":
            scale = (signal**2 + deviation**2).sqrt()
            return (signal * noise - deviation * clean) / scale
        case "flow_prediction":
            return noise - clean
        case "sample":
            return clean
    raise AssertionError(kind)


@each_sampler(but=Sampler.PNDM)
def test_last_clean_estimate_is_the_final_latents(model: Model, sampler: Sampler) -> None:
    """The last step removes the rest of the noise. PNDM steps with an average of its predictions instead."""
    state = model.family.prepare(model.asked(sampler=sampler, steps=6), seed=0)
    clean = state.latents
    while not state.is_done:
        (prediction,) = model.family.predict([state])
        clean = clean_estimate(state, prediction)
        state.advance(prediction)
    assert (clean - state.latents).abs().max() <= 0.02 * state.latents.abs().max()


@each_case
def test_preview_has_the_colours_of_the_image(model: Model) -> None:
    """Known latents with noise, and a perfect prediction. Untrained autoencoders are far from linear."""

    def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the preview and the image of these latents, both as 8 x 8 colours."""
        parameters = model.asked(width=256, height=256)
        state = model.family.prepare(parameters, seed=seed)
        clean = model.family.noise(parameters, torch.Generator().manual_seed(seed), torch.float32)
        noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
        state.latents = noisy(state, clean=clean, noise=noise)
        target = perfect_prediction(state.scheduler, state.latents, clean=clean, noise=noise)
        preview = model.family.preview(state, target)
        state.latents = clean
        pictures = preview, model.family.decode(state).pixels
        few, many = (adaptive_avg_pool2d(picture.permute(2, 0, 1).float(), 8) for picture in pictures)
        return few, many

    (preview, image), (_, other) = drawn(1), drawn(2)
    means = [picture.mean((1, 2), keepdim=True) for picture in (preview, image, other)]
    assert (means[0] - means[1]).abs().max() <= 8
    preview, image, other = (
        picture - mean for picture, mean in zip((preview, image, other), means, strict=True)
    )
    assert correlation(preview, image) > max(0.0, correlation(preview, other))


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])

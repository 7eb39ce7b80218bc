"""The colours of latents: stored with a model, or measured with its autoencoder and its images."""

import json
from pathlib import Path

import torch

from gpu_subscriber.engine.runs.latent_colours import LATENT_PREVIEW_FILE, ColourFit, LatentColours

CPU = torch.device("cpu")


def test_models_own_preview_map_is_used(tmp_path: Path) -> None:
    stored = {"weights": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], "bias": [0.5, 0, -1]}
    (tmp_path / LATENT_PREVIEW_FILE).write_text(json.dumps(stored))
    colours = LatentColours.beside(tmp_path, CPU)
    assert colours is not None
    latents = torch.zeros(1, 4, 2, 3)
    latents[:, 1] = 1.0
    pixels = colours.thumbnail(latents)
    assert pixels.shape == (2, 3, 3)
    assert pixels[0, 0].tolist() == [191, 255, 0]


def test_model_without_a_preview_map_has_none(tmp_path: Path) -> None:
    assert LatentColours.beside(tmp_path, CPU) is None
    assert LatentColours.beside(None, CPU) is None


def test_measured_colours_reproduce_a_linear_decoder() -> None:
    weights, bias = (
        torch.randn(16, 3, generator=torch.Generator().manual_seed(2)),
        torch.tensor([0.1, 0, -0.3]),
    )

    def decode(latents: torch.Tensor) -> torch.Tensor:
        colours = torch.einsum("nchw,cr->nrhw", latents, weights) + bias[:, None, None]
        return torch.nn.functional.interpolate(colours, scale_factor=8)

    measured = ColourFit(decode, like=torch.zeros(1, 16, 5, 7)).colours
    assert torch.allclose(measured.weights, weights, atol=1e-4)
    assert torch.allclose(measured.bias, bias, atol=1e-4)


def saturating(latents: torch.Tensor) -> torch.Tensor:
    """A decoder whose colours saturate, as real ones do."""
    return torch.nn.functional.interpolate(torch.tanh(2 * latents[:, :3] - latents[:, 3:]), scale_factor=4)


def test_colour_fit_is_improved_by_images() -> None:
    fit = ColourFit(saturating, like=torch.zeros(1, 4, 8, 8))
    latents = 1.0 + 0.3 * torch.randn(3, 1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    shown = (saturating(latents[0])[0].mean((1, 2)) * 0.5 + 0.5) * 255

    def error() -> float:
        return float((fit.colours.thumbnail(latents[0]).float().mean((0, 1)) - shown).abs().max())

    before = error()
    for other in latents[1:]:
        fit.learn(other, saturating(other))
    assert before > 10
    assert error() < before / 2


def test_colour_fit_survives_an_image_of_extreme_latents() -> None:
    fit = ColourFit(saturating, like=torch.zeros(1, 4, 8, 8))
    latents = torch.randn(6, 1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    for ordinary in latents[1:]:
        fit.learn(ordinary, saturating(ordinary))
    before = fit.colours.thumbnail(latents[0]).float()
    extreme = 7 * latents[0]
    fit.learn(extreme, saturating(extreme))
    assert (fit.colours.thumbnail(latents[0]).float() - before).abs().mean() < 1


def test_colour_fit_ignores_images_that_are_not_finite() -> None:
    fit = ColourFit(saturating, like=torch.zeros(1, 4, 8, 8))
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(3))
    fit.learn(latents, saturating(latents))
    before = fit.colours
    fit.learn(latents * float("nan"), saturating(latents))
    assert torch.equal(fit.colours.weights, before.weights)

"""Quantized denoisers: what they need, the quality check, and what is recorded."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from common.domain.models.model_files import Quantization
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.errors import ModelRefusedError
from gpu_subscriber.engine.families.stable_diffusion import StableDiffusion
from gpu_subscriber.engine.messages import CheckpointRefused, RunInterrupted
from gpu_subscriber.engine.models.loading import load_family
from gpu_subscriber.engine.models.model_memory import bytes_on
from gpu_subscriber.engine.models.quantization import config_of, is_quantizable, quantize, unavailable
from gpu_subscriber.engine.tuning.quality_check import quantize_and_check
from gpu_subscriber.engine.tuning.warm_up import warm_up
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, DrivenEngine, drawing, spec

TORCHAO, NOTHING = {"torchao"}.__contains__, set[str]().__contains__


def rounded(network: torch.nn.Module, _kind: Quantization) -> None:
    """Round the weights as eight bits do, without torchao."""
    for module in network.modules():
        if is_quantizable(module):
            weight: Any = module.weight
            step = weight.data.abs().amax(1, keepdim=True) / 127
            weight.data = (weight.data / step).round() * step


def ruined(network: torch.nn.Module, _kind: Quantization) -> None:
    for weight in network.parameters():
        weight.data = weight.data * 0.5


@pytest.fixture
def family(stock: Any) -> StableDiffusion:
    """The tiny model, with a denoiser of its own."""
    components = {**stock.components, "unet": copy.deepcopy(stock.unet)}
    return StableDiffusion(type(stock)(**components, requires_safety_checker=False))


@pytest.mark.parametrize(
    ("kind", "capability", "expected"),
    [
        ("int8", None, None),
        ("int8", (7, 5), None),
        ("fp8", (9, 0), None),
        ("fp8", (8, 9), None),
        ("fp8", (8, 0), "a GPU of compute capability 8.9 or higher"),
        ("fp8", None, "a GPU of compute capability 8.9 or higher"),
    ],
)
def test_each_kind_states_what_it_needs(
    kind: Quantization, capability: tuple[int, int] | None, expected: str | None
) -> None:
    found = unavailable(kind, find_package=TORCHAO, capability=lambda: capability)
    assert found == expected if expected is None else (found or "").startswith(expected)


def test_missing_package_is_named_with_its_installation() -> None:
    found = unavailable("int8", find_package=NOTHING, capability=lambda: (9, 0))
    assert found == 'the package torchao, which the extra "quantization" installs'


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine may have FP8")
def test_kind_that_is_not_available_is_refused(family: StableDiffusion) -> None:
    with pytest.raises(ModelRefusedError, match=r'`quantization`: "fp8" needs .*; or leave'):
        quantize(family.denoiser, "fp8")


def test_quantized_model_is_recorded(family: StableDiffusion) -> None:
    before = family.prepare(drawing(), seed=1).fingerprint
    quantize_and_check(family, drawing(), "int8", rounded)
    assert family.origin.environment.quantization == "int8"
    assert family.prepare(drawing(), seed=1).fingerprint == f"{before}+int8"


def test_checkpoint_of_the_exact_weights_is_refused(family: StableDiffusion, stock: Any) -> None:
    exact, quantized = DrivenEngine(StableDiffusion(stock)), DrivenEngine(family)
    exact.start("run", drawing())
    exact.step(2)
    exact.interrupt("run", want_checkpoint=True)
    (stopped,) = exact.of_kind(RunInterrupted)
    family.quantize("int8", rounded)
    quantized.start("run", drawing(), checkpoint=stopped.checkpoint)
    quantized.run_to_end()
    (refused,) = quantized.of_kind(CheckpointRefused)
    assert "weights" in refused.reason


def test_model_whose_images_change_too_much_is_refused(family: StableDiffusion) -> None:
    with pytest.raises(ModelRefusedError, match=r'`quantization`: "int8" changes images too much: .* dB'):
        quantize_and_check(family, drawing(), "int8", ruined)


def test_torchao_quantizes_a_model_within_the_bounds(stable_diffusion_folder: Path) -> None:
    pytest.importorskip("torchao")
    model = spec(source=str(stable_diffusion_folder), quantization="int8")
    family = load_family(model, CPU)
    assert isinstance(family, StableDiffusion)
    before = bytes_on(CPU.torch_device, [family.denoiser])
    quantize_and_check(family, drawing(), "int8", quantize)
    assert warm_up(family, model, CPU, BatchCaps(max_batch=2), measure=True) is not None
    driven = DrivenEngine(family)
    driven.start_runs(2)
    driven.run_to_end()
    assert driven.drawn_runs == ["0", "1"]
    assert bytes_on(CPU.torch_device, [family.denoiser]) < before


@pytest.mark.parametrize("kind", ["int8", "fp8"])
@pytest.mark.parametrize("value", [1e5, float("inf"), float("nan")])
def test_image_with_other_numbers_changes_no_other_image(
    kind: Quantization, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    quant_api = pytest.importorskip("torchao.quantization.quant_api")
    monkeypatch.setattr(quant_api, "_check_hardware_support", lambda *_given: None)
    monkeypatch.setattr(quant_api, "is_sm_at_least_89", lambda: True)  # the kernels for CPUs compute the same
    layer = torch.nn.Linear(64, 64).bfloat16()
    quant_api.quantize_(layer, config_of(kind))
    own, other = torch.randn(1, 8, 64).bfloat16(), torch.randn(1, 8, 64).bfloat16()
    alone = layer(own)
    other[0, 0, 0] = value
    assert torch.equal(layer(torch.cat([own, other]))[:1], alone)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"family": "whole_pipeline"}, "the family 'whole_pipeline' applies none"),
        ({"loras": ({"name": "ink", "title": "Ink", "source": "ink.safetensors"},)}, "not together with"),
    ],
)
def test_entry_states_no_quantization_that_cannot_be_applied(entry: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        spec(quantization="fp8", **entry)

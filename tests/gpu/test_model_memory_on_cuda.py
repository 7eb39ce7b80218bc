"""The memory of a real GPU: loads, evictions, the host cache and offloaded text encoders."""

from pathlib import Path

import pytest
import torch

from common.domain.models.spec import ModelSpec
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.models.loading import load_family
from gpu_subscriber.engine.models.model_cache import ModelCache
from gpu_subscriber.engine.models.model_memory import bytes_on
from tests.unit.gpu_subscriber.engine.driven_engine import drawing, spec
from tests.unit.gpu_subscriber.engine.tiny_pipelines import tiny_stable_diffusion

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]


@pytest.fixture
def models(tmp_path: Path) -> tuple[ModelSpec, ...]:
    return tuple(
        spec(name, source=str(tiny_stable_diffusion(tmp_path / name, seed=seed)))
        for seed, name in enumerate("ab")
    )


@pytest.fixture
def device(models: tuple[ModelSpec, ...]) -> Device:
    return Device.chosen(EngineSettings(models=models, device="cuda", dtype="float32"))


@pytest.mark.parametrize("host_cache_bytes", [0, 10**9])
def test_evicted_model_leaves_the_gpu(
    models: tuple[ModelSpec, ...], device: Device, host_cache_bytes: int
) -> None:
    before = torch.cuda.memory_allocated()
    cache = ModelCache(models, device, load=load_family, most_loaded=1, host_cache_bytes=host_cache_bytes)
    allocated = []
    for name in "abab":
        cache.get(name)
        allocated.append(torch.cuda.memory_allocated() - before)
    assert max(allocated) < 1.5 * min(allocated)


def test_offloaded_text_encoder_encodes_the_same(models: tuple[ModelSpec, ...], device: Device) -> None:
    whole = load_family(models[0], device)
    family = load_family(models[0].model_copy(update={"offload": "text_encoders"}), device)
    assert isinstance(whole, GuidedFamily)
    assert isinstance(family, GuidedFamily)
    encoder = family.pipeline.text_encoder
    with torch.inference_mode():
        expected, state = (one.prepare(drawing(), seed=1) for one in (whole, family))
    for rows, others in zip(expected.branches, state.branches, strict=True):
        assert torch.equal(rows["encoder_hidden_states"], others["encoder_hidden_states"])
    assert bytes_on(device.torch_device, [encoder]) == 0
    assert bytes_on(torch.device("cpu"), [encoder]) > 0

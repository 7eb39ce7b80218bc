"""Compiled networks of each family: which ones are compiled, and for which prompts."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from torch._dynamo.testing import CompileCounter

from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.models import loading
from gpu_subscriber.engine.models.loading import compile_blocks, load_family
from gpu_subscriber.engine.tuning.compilation import compile_batch_sizes
from tests.unit.gpu_subscriber.engine.families.conftest import ModelOf
from tests.unit.gpu_subscriber.engine.families.family_cases import CASES

NOT_COMPILED = {"qwen_image", "z_image", "lumina_2"}


@dataclass(kw_only=True)
class CudaLike(Device):
    """The CPU, tuned as a GPU is."""

    @property
    def is_cuda(self) -> bool:
        return True


@pytest.mark.parametrize("name", CASES)
@torch.inference_mode()
def test_prompts_of_other_lengths_compile_nothing_in_service(
    name: str, tmp_path: Path, loaded_model: ModelOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    counter, model = CompileCounter(), loaded_model(name)
    monkeypatch.setattr(loading, "compile_blocks", partial(compile_blocks, backend=counter))
    device = CudaLike(torch_device=torch.device("cpu"), dtype=torch.float32)
    spec = model.spec.model_copy(update={"source": str(CASES[name].save(tmp_path / "model"))})
    with torch.inference_mode(mode=False), torch.no_grad():
        family = load_family(spec, device, compile_denoiser=True)
    assert isinstance(family, GuidedFamily)
    assert family.fills_batches == (name not in NOT_COMPILED)
    if family.fills_batches:
        compile_batch_sizes(family, model.asked(), largest=1)
        assert counter.frame_count > 0
    compiled = counter.frame_count
    for words in (1, 4, 9):
        parameters = model.asked(prompt=" ".join(["fox"] * words))
        assert len(family.predict([family.prepare(parameters, seed=1)])) == 1
    assert counter.frame_count == compiled

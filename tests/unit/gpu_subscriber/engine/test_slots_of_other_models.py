"""Slots of LoRAs give way to the work of other models on the same device."""

from typing import Any

import pytest
import torch

from common.domain.models.spec import ModelSpec
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.families.whole_pipeline import WholePipeline
from gpu_subscriber.engine.models.loading import Family
from gpu_subscriber.engine.models.model_cache import ModelCache
from gpu_subscriber.engine.models.model_memory import bytes_on
from gpu_subscriber.engine.tuning.warm_up import warm_up
from tests.fakes.limited_memory import LimitedMemory
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, DrivenEngine, drawing, spec
from tests.unit.gpu_subscriber.engine.test_memory_admission import (
    ONE_RUN,
    STEP_BYTES,
    HeldSlots,
    HungryFamily,
    tiled_runs,
)
from tests.unit.gpu_subscriber.engine.test_whole_pipeline import whole_drawing
from tests.unit.gpu_subscriber.engine.tiny_pipelines import SIDE

FREE = STEP_BYTES + 2 * ONE_RUN
WEIGHTS = 10_000_000


def limited_memory() -> LimitedMemory:
    return LimitedMemory(total=WEIGHTS + FREE, used=WEIGHTS)


class TwoModels:
    """Model "tiny" beside model "lora", both loaded."""

    def __init__(self, stock: Any, memory: LimitedMemory, *, measured: bool = True) -> None:
        self.memory = memory
        self.tiny, self.lora = HungryFamily(stock, memory), HungryFamily(stock, memory)
        families: dict[str, Family] = {"tiny": self.tiny, "lora": self.lora}
        self.driven = DrivenEngine(families, memory=memory if measured else None, loaded_models=2)
        warm_up(self.tiny, spec("tiny"), self.driven.device, self.driven.caps, measure=False)
        for name in families:
            self.driven.model_cache.get(name)

    def hold(self, of: HungryFamily, size: int) -> None:
        of.loras = HeldSlots(of, size)


@pytest.fixture
def two(stock: Any) -> TwoModels:
    return TwoModels(stock, limited_memory())


def test_slots_give_way_to_an_image_of_another_model(two: TwoModels) -> None:
    two.hold(two.lora, 2 * ONE_RUN)
    assert two.driven.caps.missing_for_step(BatchKey.of(drawing())) > 0
    two.driven.draw("run")
    assert (two.driven.drawn_runs, tiled_runs(two.driven), two.memory.failures) == (["run"], [], 0)
    assert two.driven.model_cache.loaded == {"tiny", "lora"}


def test_slots_give_way_to_a_decoding_of_another_model(two: TwoModels) -> None:
    two.hold(two.lora, ONE_RUN)
    two.driven.draw("run")
    assert (two.driven.drawn_runs, tiled_runs(two.driven), two.memory.failures) == (["run"], [], 0)


def test_slots_that_are_made_during_an_image_of_another_model_give_way(two: TwoModels) -> None:
    two.driven.start("run", drawing())
    two.driven.step()
    two.hold(two.tiny, ONE_RUN // 2)
    two.hold(two.lora, 3 * ONE_RUN // 2)
    two.driven.run_to_end()
    assert (two.driven.failed_runs, two.driven.drawn_runs, two.memory.failures) == ([], ["run"], 2)


def test_slots_of_the_same_model_give_way_first(two: TwoModels) -> None:
    two.hold(two.tiny, ONE_RUN)
    two.hold(two.lora, ONE_RUN // 4)
    two.driven.start("run", drawing())
    two.driven.step()
    assert (two.tiny.loras.device_bytes, two.lora.loras.device_bytes) == (0, ONE_RUN // 4)


def test_slots_are_kept_if_an_image_does_not_fit_without_them_either(two: TwoModels) -> None:
    two.hold(two.tiny, ONE_RUN // 4)
    two.hold(two.lora, ONE_RUN // 4)
    two.driven.draw("large", drawing(width=2 * SIDE, height=2 * SIDE))
    assert (two.driven.failed_runs, two.memory.failures) == (["large"], 0)
    assert (two.tiny.loras.device_bytes, two.lora.loras.device_bytes) == (ONE_RUN // 4, ONE_RUN // 4)


@pytest.mark.parametrize("short", ["generate", "classify"])
def test_slots_give_way_to_a_pipeline_that_is_called_whole(
    stock: Any, whole: WholePipeline, monkeypatch: pytest.MonkeyPatch, short: str
) -> None:
    memory = limited_memory()
    lora, generate = HungryFamily(stock, memory), whole.generate

    def hungry(*arguments: Any, **options: Any) -> Any:
        generated = generate(*arguments, **options)
        memory.allocate(FREE if short == "generate" else 0)
        return generated

    def classify(pixels: torch.Tensor) -> torch.Tensor:
        memory.allocate(FREE if short == "classify" else 0)
        return torch.tensor(False)

    monkeypatch.setattr(whole, "generate", hungry)
    families: dict[str, Family] = {"tiny": whole, "lora": lora}
    driven = DrivenEngine(families, memory=memory, loaded_models=2, classify=classify)
    driven.model_cache.get("lora")
    lora.loras = HeldSlots(lora, ONE_RUN)
    driven.draw("run", whole_drawing())
    assert (driven.failed_runs, driven.drawn_runs, memory.failures) == ([], ["run"], 1)


@pytest.mark.parametrize(("capacity", "kept"), [(3.5, {"a", "b", "c"}), (2.5, {"b", "c"})])
def test_model_is_evicted_only_if_its_slots_do_not_suffice(
    stock: Any, capacity: float, kept: set[str]
) -> None:
    memory = limited_memory()
    families = {name: HungryFamily(stock, memory) for name in "abc"}
    weights = bytes_on(CPU.torch_device, families["a"].origin.networks.values())
    device = Device(torch_device=torch.device("cpu"), dtype=torch.float32, memory=memory)

    def load(model: ModelSpec, on: Device) -> Family:
        return families[model.name]

    cache = ModelCache(
        tuple(spec(name) for name in families),
        device,
        load=load,
        capacity_bytes=capacity * weights,
        working_bytes=lambda _: 0,
    )
    cache.get("a")
    cache.get("b")
    families["a"].loras = HeldSlots(families["a"], weights)
    cache.get("c")
    assert cache.loaded == kept

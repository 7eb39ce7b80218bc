"""A reading of the free memory is kept, but not past an event that changes much of it."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch

from common.domain.models.spec import ModelSpec
from common.domain.provenance import AppliedLora
from gpu_subscriber.engine import device_memory
from gpu_subscriber.engine.device_memory import CudaMemory
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.loras.lora_weights import Pair
from gpu_subscriber.engine.loras.slot_bank import Joined, LoraSet, SlotBank
from gpu_subscriber.engine.models.model_cache import ModelCache
from gpu_subscriber.engine.tuning.warm_up import warm_up
from tests.fakes.limited_memory import LimitedMemory
from tests.unit.gpu_subscriber.engine.conftest import RecordingFamily
from tests.unit.gpu_subscriber.engine.driven_engine import DrivenEngine, drawing, spec
from tests.unit.gpu_subscriber.engine.test_memory_admission import (
    ONE_RUN,
    STEP_BYTES,
    HeldSlots,
    HungryFamily,
)
from tests.unit.gpu_subscriber.engine.tiny_pipelines import SIDE

FEATURES = 64


class KeptReadings(CudaMemory):
    """Reads a limited memory. A reading stays until it is renewed."""

    def __init__(self, limited: LimitedMemory, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.limited = limited
        monkeypatch.setattr(device_memory, "_FRESH_SECONDS", float("inf"))
        monkeypatch.setattr(device_memory, "_cuda_free_bytes", limited.free_bytes)
        self.free_bytes()

    def peak_bytes(self, work: Any) -> int:
        return self.limited.peak_bytes(work)


def test_memory_of_slots_that_gave_way_is_there_for_the_next_run(
    stock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = LimitedMemory(total=10_000_000 + STEP_BYTES + 3 * ONE_RUN, used=10_000_000)
    family = HungryFamily(stock, limited)
    driven = DrivenEngine(family, memory=(memory := KeptReadings(limited, monkeypatch)))
    warm_up(family, spec(), driven.device, driven.caps, measure=False)
    family.loras = HeldSlots(family, 2 * ONE_RUN)
    memory.renew()
    driven.start("wide", drawing(width=2 * SIDE))
    driven.start("tall", drawing(height=2 * SIDE))
    driven.run_to_end()
    assert (driven.failed_runs, sorted(driven.drawn_runs)) == ([], ["tall", "wide"])


def lora_set(rank: int) -> LoraSet:
    return (AppliedLora(name=str(rank), scale=1.0, sha256="0" * 64),)


def joined(loras: LoraSet) -> Joined:
    rank = int(loras[0].name)
    pair = Pair(down=torch.zeros(rank, FEATURES), up=torch.zeros(FEATURES, rank), scale=1.0)
    return Joined([({"0": pair}, 1.0)])


class CountedSlots(SlotBank):
    """Slots in a limited memory."""

    limited: LimitedMemory

    def _zeros(self, *shape: int) -> torch.Tensor:
        zeros = super()._zeros(*shape)
        self.limited.used += zeros.nbytes
        return zeros

    def release(self) -> None:
        self.limited.used -= self.nbytes
        super().release()


def test_slots_that_are_made_again_have_the_memory_of_the_old_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    limited = LimitedMemory(total=10 * FEATURES * 2 * 32 * 4 * 2)
    memory = KeptReadings(limited, monkeypatch)
    bank = CountedSlots(
        torch.nn.Sequential(torch.nn.Linear(FEATURES, FEATURES)),
        device=torch.device("cpu"),
        dtype=torch.float32,
        join=joined,
        most_sets=8,
        memory=memory,
    )
    bank.limited = limited
    bank.select([lora_set(16)])
    assert memory.free_bytes() == limited.free_bytes() < limited.total
    bank.select([lora_set(32)])
    assert (bank.most_sets, memory.free_bytes()) == (8, limited.free_bytes())
    bank.release()
    assert memory.free_bytes() == limited.total


class MovingDevice(Device):
    """Takes memory for the weights that are moved to it. Really, they stay where they are."""

    limited: LimitedMemory
    used_after_moves: Iterator[int]

    def move(self, networks: Any, *, to: torch.device) -> None:
        self.limited.used = next(self.used_after_moves)


def test_memory_is_read_again_after_each_load_eviction_and_restoration(
    stock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    limited = LimitedMemory(total=10_000)
    memory = KeptReadings(limited, monkeypatch)
    device = MovingDevice(torch_device=torch.device("cpu"), dtype=torch.float32, memory=memory)
    device.limited, device.used_after_moves = limited, iter([0, 0, 1_000])
    sizes, free_before_load = {"a": 1_000, "b": 2_000}, list[int]()

    def load(model: ModelSpec, on: Device) -> RecordingFamily:
        free_before_load.append(memory.free_bytes())
        limited.used = sizes[model.name]
        return RecordingFamily(stock)

    models = tuple(spec(name) for name in sizes)
    cache = ModelCache(models, device, load=load, most_loaded=1, host_cache_bytes=10**9)
    for name in ("a", "b", "a"):
        cache.get(name)
        assert memory.free_bytes() == 10_000 - sizes[name]
    assert free_before_load == [10_000, 10_000], "only `a` was restored"

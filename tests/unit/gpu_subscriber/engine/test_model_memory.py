"""How many models stay loaded, where evicted ones go, and that their memory is freed."""

import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from common.domain.models.model_files import ModelFiles
from common.domain.models.spec import ModelSpec
from common.model_files.local_model import LocalModel
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.errors import ModelUnavailableError
from gpu_subscriber.engine.messages import ImageReady, StepDone
from gpu_subscriber.engine.models.loading import Family, load_family
from gpu_subscriber.engine.models.model_cache import ModelCache
from gpu_subscriber.engine.models.model_memory import (
    ModelMemory,
    bytes_on,
    expected_memory,
    fit,
    host_memory,
)
from gpu_subscriber.engine.models.pipeline_parts import PipelineParts
from tests.fakes.limited_memory import LimitedMemory
from tests.unit.gpu_subscriber.engine.driven_engine import CPU, DrivenEngine, drawing, spec
from tests.unit.gpu_subscriber.engine.tiny_families import saved
from tests.unit.gpu_subscriber.engine.tiny_pipelines import tiny_stable_diffusion


class CountingDevice(Device):
    """Counts copies to the device. Its memory is the host's, but it pretends to have its own."""

    def __init__(self) -> None:
        memory = LimitedMemory(total=10**9)
        super().__init__(torch_device=torch.device("cpu"), dtype=torch.float32, memory=memory)
        self.moves: list[int] = []
        self.on_device = 0
        self.failing_move: int | None = None
        """The number of the move after which the memory ends."""

    def move(self, networks: Any, *, to: torch.device) -> None:
        networks = list(networks)
        self.moves.append(len(networks))
        super().move(networks, to=to)
        if len(self.moves) == self.failing_move:
            raise torch.OutOfMemoryError("CUDA out of memory")

    def copied(self, tensor: torch.Tensor) -> torch.Tensor:
        self.on_device += 1
        return tensor.clone()


def cache_of(
    folders: Mapping[str, Path], device: Device = CPU, *, loads: list[str] | None = None, **options: Any
) -> ModelCache:
    def load(model: ModelSpec, on: Device) -> Family:
        if loads is not None:
            loads.append(model.name)
        return load_family(model, on)

    models = tuple(spec(name, source=str(folder)) for name, folder in folders.items())
    return ModelCache(models, device, load=load, **options)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("memory")
    return {name: tiny_stable_diffusion(root / name, seed=seed) for seed, name in enumerate("abc")}


@pytest.mark.parametrize(
    ("models", "capacity", "does_fit"),
    [
        ([(6, 2)], 8, True),
        ([(6, 2), (4, 1)], 12, True),
        ([(6, 2), (4, 3)], 12, False),
    ],
)
def test_models_fit_with_the_largest_working_memory(
    models: list[tuple[int, int]], capacity: int, does_fit: bool
) -> None:
    known = [ModelMemory(weights=weights, working=working) for weights, working in models]
    assert fit(known, capacity) == does_fit


def test_memory_is_expected_from_the_headers(folders: Mapping[str, Path]) -> None:
    model = spec("a", source=str(folders["a"]))
    family = load_family(model, CPU)
    measured = bytes_on(CPU.torch_device, family.origin.networks.values())
    expected = expected_memory(model, CPU).weights
    assert expected == sum(
        tensor.numel() * 4 for network in family.origin.networks.values() for tensor in network.parameters()
    )
    assert expected <= measured <= 1.1 * expected
    half = expected_memory(spec("a", source=str(folders["a"]), dtype="float16"), CPU).weights
    assert half == expected / 2
    assert expected_memory(spec("hub", source="owner/name"), CPU).weights == 0


def test_host_memory_is_at_most_that_of_the_machine() -> None:
    meminfo = Path("/proc/meminfo").read_text().split()
    assert 0 < host_memory() <= int(meminfo[1]) * 1024


@pytest.mark.parametrize(
    ("most", "models_that_fit", "loaded"),
    [(None, 3.5, {"a", "b", "c"}), (None, 2.5, {"b", "c"}), (None, 0.5, {"c"}), (1, 3.5, {"c"})],
)
def test_models_stay_loaded_while_they_fit(
    folders: Mapping[str, Path], most: int | None, models_that_fit: float, loaded: set[str]
) -> None:
    one = bytes_on(
        CPU.torch_device, load_family(spec(source=str(folders["a"])), CPU).origin.networks.values()
    )
    cache = cache_of(folders, most_loaded=most, capacity_bytes=models_that_fit * one)
    for name in folders:
        cache.get(name)
    assert cache.loaded == loaded


def test_least_recently_used_model_is_evicted_first(folders: Mapping[str, Path]) -> None:
    cache = cache_of(folders, most_loaded=2)
    for name in ("a", "b", "a", "c"):
        cache.get(name)
    assert cache.loaded == {"a", "c"}


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED")],
)
def test_model_is_loaded_again_alone_when_memory_runs_out(
    folders: Mapping[str, Path], error: Exception
) -> None:
    refused = list[str]()

    def load(model: ModelSpec, device: Device) -> Family:
        if model.name == "b" and cache.loaded:
            refused.append(model.name)
            raise error
        return load_family(model, device)

    models = tuple(spec(name, source=str(folder)) for name, folder in folders.items())
    cache = ModelCache(models, CPU, load=load)
    cache.get("a")
    cache.get("b")
    assert cache.loaded == {"b"}
    assert (refused, cache.backoff.broken) == (["b"], ())


def test_evicted_model_returns_from_the_host(folders: Mapping[str, Path]) -> None:
    device, loads = CountingDevice(), list[str]()
    cache = cache_of(folders, device, loads=loads, most_loaded=1, host_cache_bytes=10**9)
    first = cache.get("a")
    expected = drawn(first)
    cache.get("b")
    assert device.moves == [3]
    assert cache.get("a") is first
    assert (loads, device.moves) == (["a", "b"], [3, 3, 3])
    assert (drawn(first) == expected).all()


@pytest.mark.parametrize("most_loaded", [1, 2])
def test_model_that_cannot_return_from_the_host_is_freed_and_loaded(
    folders: Mapping[str, Path], most_loaded: int
) -> None:
    """Alone, and beside another loaded model."""
    device = CountingDevice()
    loaded: list[tuple[str, weakref.ref[Any]]] = []
    alive_at_loads: list[set[str]] = []

    def load(model: ModelSpec, on: Device) -> Family:
        alive_at_loads.append({name for name, network in loaded if network() is not None})
        family = load_family(model, on)
        loaded.append((model.name, weakref.ref(family.pipeline.unet)))
        return family

    models = tuple(spec(name, source=str(folder)) for name, folder in folders.items())
    cache = ModelCache(models, device, load=load, most_loaded=most_loaded, host_cache_bytes=10**9)
    others = [name for name in folders if name != "a"][:most_loaded]
    for name in ("a", *others):
        cache.get(name)
    device.failing_move = len(device.moves) + 2  # the first move is the eviction of another model
    cache.get("a")
    assert alive_at_loads[-1] == set(others)
    assert cache.loaded == {"a"}
    assert cache.backoff.broken == ()


def test_model_that_fails_in_its_warm_up_is_freed(folders: Mapping[str, Path]) -> None:
    networks: list[weakref.ref[Any]] = []

    def load(model: ModelSpec, device: Device) -> Family:
        networks.append(weakref.ref(load_family(model, device).pipeline.unet))
        raise torch.OutOfMemoryError("CUDA out of memory")

    models = tuple(spec(name, source=str(folder)) for name, folder in folders.items())
    with pytest.raises(ModelUnavailableError):
        ModelCache(models, CPU, load=load).get("a")
    (network,) = networks
    assert network() is None


def test_model_that_the_host_drops_is_freed_before_the_next_one_moves(folders: Mapping[str, Path]) -> None:
    alive: list[bool] = []

    class Watching(CountingDevice):
        def move(self, networks: Any, *, to: torch.device) -> None:
            super().move(networks, to=to)
            alive.append(network() is not None)

    one = bytes_on(
        CPU.torch_device, load_family(spec(source=str(folders["a"])), CPU).origin.networks.values()
    )
    cache = cache_of(folders, Watching(), most_loaded=1, host_cache_bytes=int(1.5 * one))
    network = weakref.ref(cache.get("a").pipeline.unet)
    cache.get("b")
    cache.get("c")
    assert alive == [True, False]


def test_host_cache_is_bounded_in_bytes(folders: Mapping[str, Path]) -> None:
    one = bytes_on(
        CPU.torch_device, load_family(spec(source=str(folders["a"])), CPU).origin.networks.values()
    )
    loads = list[str]()
    cache = cache_of(folders, CountingDevice(), loads=loads, most_loaded=1, host_cache_bytes=int(1.5 * one))
    for name in ("a", "b", "c", "b", "a"):
        cache.get(name)
    assert loads == ["a", "b", "c", "a"]


def test_cpu_keeps_no_evicted_model(folders: Mapping[str, Path]) -> None:
    cache = cache_of(folders, most_loaded=1, host_cache_bytes=10**9)
    network = weakref.ref(cache.get("a").pipeline.unet)
    cache.get("b")
    assert network() is None


def test_offloaded_text_encoders_are_on_the_device_to_encode_only(tmp_path: Path) -> None:
    folder = saved("sdxl", tmp_path / "model")
    model = spec("xl", family="stable_diffusion_xl", source=str(folder))
    expected = drawn(load_family(model, CPU))
    device = CountingDevice()
    family = load_family(model.model_copy(update={"offload": "text_encoders"}), device)
    encoders = [family.pipeline.text_encoder, family.pipeline.text_encoder_2]
    homes = {id(tensor): tensor.data_ptr() for encoder in encoders for tensor in encoder.parameters()}
    assert device.on_device == 0
    assert (drawn(family) == expected).all()
    tensors = sum(len([*encoder.parameters(), *encoder.buffers()]) for encoder in encoders)
    assert device.on_device == 2 * tensors, "one copy for each of the two texts"
    assert {id(tensor): tensor.data_ptr() for encoder in encoders for tensor in encoder.parameters()} == homes
    encoded = device.on_device
    drawn(family)
    assert device.on_device == encoded, "embeddings are cached"


def test_offloaded_text_encoder_returns_to_the_host_after_an_error(folders: Mapping[str, Path]) -> None:
    model = spec("a", source=str(folders["a"]), offload="text_encoders")
    encoder: Any = load_family(model, CountingDevice()).pipeline.text_encoder
    home = next(encoder.parameters()).data_ptr()
    with pytest.raises((TypeError, ValueError)):
        encoder(input_ids=None)
    assert next(encoder.parameters()).data_ptr() == home


def test_networks_load_straight_to_the_device(folders: Mapping[str, Path]) -> None:
    parts = load_parts(folders["a"], Device(torch_device=torch.device("meta"), dtype=torch.bfloat16))
    tensors = [tensor for part in parts for tensor in (*part.parameters(), *part.buffers())]
    assert {(tensor.device.type, tensor.dtype) for tensor in tensors if tensor.is_floating_point()} == {
        ("meta", torch.bfloat16)
    }


def load_parts(folder: Path, device: Device) -> list[torch.nn.Module]:
    pipeline: Any = PipelineParts(
        local=LocalModel(folder=folder), files=ModelFiles(source=str(folder)), device=device
    ).pipeline()
    return [part for part in pipeline.components.values() if isinstance(part, torch.nn.Module)]


def test_switching_models_under_load_leaves_no_copy(folders: Mapping[str, Path]) -> None:
    """Runs of both models are in progress at every switch."""
    networks: list[tuple[str, weakref.ref[Any]]] = []

    def load(name: str) -> Family:
        family = load_family(spec(name, source=str(folders[name])), CPU)
        networks.extend((name, weakref.ref(network)) for network in family.origin.networks.values())
        return family

    def ticking() -> float:
        driven.pass_time(0.5)
        return driven.now

    placeholders: dict[str, Any] = dict.fromkeys("ab")
    driven = DrivenEngine(placeholders, load=load, model_switch_patience_seconds=20.0)
    driven.device.clock = ticking
    for number in range(6):
        driven.start(f"{number}", drawing(model="ab"[number % 2], steps=12, seed=number))
    switches, loaded = 0, driven.model_cache.loaded
    while driven.engine.is_busy:
        driven.step()
        if driven.model_cache.loaded != loaded:
            switches, loaded = switches + 1, driven.model_cache.loaded
        alive = {name for name, network in networks if network() is not None}
        assert alive == loaded
        assert sum(network() is not None for _, network in networks) == 3
    assert switches > 2
    assert len(driven.of_kind(ImageReady)) == 6
    assert {message.run_id for message in driven.of_kind(StepDone)} == set("012345")


def drawn(family: Family) -> Any:
    driven = DrivenEngine(family)
    driven.draw("run", drawing(steps=2))
    return driven.picture("run")

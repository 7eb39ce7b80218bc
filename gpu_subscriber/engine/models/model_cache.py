"""The loaded models: loads them at their first use, and unloads the least recently used one."""

import gc
import traceback
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace

import structlog
import torch

from common.domain.models.spec import ModelSpec
from common.domain.parameters import GenerationParameters
from common.model_files.weights import UnservableModelError
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.devices import Device, is_device_lost, is_out_of_memory
from gpu_subscriber.engine.errors import ModelRefusedError, ModelUnavailableError
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.loras.model_loras import ModelLoras
from gpu_subscriber.engine.models.host_cache import HostCache
from gpu_subscriber.engine.models.loading import Family
from gpu_subscriber.engine.models.model_backoff import ModelBackoff
from gpu_subscriber.engine.models.model_memory import (
    ModelMemory,
    assumed_working,
    bytes_on,
    capacity_of,
    expected_memory,
    fit,
)

_log = structlog.get_logger()

Load = Callable[[ModelSpec, Device], Family]


class ModelCache:
    """The loaded models by name; tests pass families of their own through `load`.

    Loads a model at its first use, and evicts the least recently used ones until all fit: at most
    `most_loaded`, and at most what `capacity_bytes` holds. `load` covers everything up to the last
    measurement of the warm-up. An error in it affects only its model, unless the device is lost.
    """

    def __init__(
        self,
        specs: tuple[ModelSpec, ...],
        device: Device,
        *,
        load: Load,
        most_loaded: int | None = None,
        capacity_bytes: float | None = None,
        host_cache_bytes: int = 0,
        working_bytes: Callable[[str], float | None] = lambda name: None,
        backoff: ModelBackoff | None = None,
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._device = device
        self._load = load
        self._most_loaded = most_loaded or len(specs)
        self._capacity_bytes = capacity_of(device) if capacity_bytes is None else capacity_bytes
        self._working_bytes = working_bytes
        self._host_cache = HostCache(device=device, limit_bytes=host_cache_bytes)
        self._loaded: OrderedDict[str, Family] = OrderedDict()
        self._memory: dict[str, ModelMemory] = {}
        self.backoff = backoff or ModelBackoff()

    @property
    def loaded(self) -> frozenset[str]:
        """The names of the loaded models."""
        return frozenset(self._loaded)

    def offers(self, name: str) -> bool:
        """Return whether the catalog has this model."""
        return name in self._specs

    def most_lora_sets_of(self, name: str) -> int | None:
        """Return how many different sets of LoRAs one pass of a model takes; None: any number.

        Before the model is loaded the number is unknown, and the first pass takes one set.
        """
        family = self._loaded.get(name)
        if isinstance(family, GuidedFamily):
            return family.loras.most_sets
        return 1 if family is None else None

    def batch_key(self, parameters: GenerationParameters) -> BatchKey:
        """Return the batch key of a Run; of the requested size until its model is loaded."""
        family = self._loaded.get(parameters.model)
        return family.batch_key(parameters) if isinstance(family, GuidedFamily) else BatchKey.of(parameters)

    def get(self, name: str, *, before_load: Callable[[], None] = lambda: None) -> Family:
        """Return the model's family. Loads it if necessary, which may take minutes.

        A load that fails for lack of memory is repeated; `before_load` is called each time.

        Raises ModelUnavailableError. While the model is in its backoff, no load is attempted.
        """
        if name in self._loaded:
            self._loaded.move_to_end(name)
            return self._loaded[name]
        if self.backoff.seconds_left(name) > 0:
            raise ModelUnavailableError(name, reason="it failed to load, and is in its backoff")
        spec = self._specs[name]
        family = self._loaded[name] = self._load_or_record_failure(spec, before_load)
        self.backoff.recovered(name)
        _log.info("model_loaded", model=name, bytes=self._memory[name].weights)
        self._shrink(least=1)
        self._device.renew_free_memory()
        return family

    def loras(self, first: Family | None = None) -> list[ModelLoras]:
        """Return the LoRAs of the `first` model, then those of the others, the least recently used first."""
        families = sorted(self._loaded.values(), key=lambda family: family is not first)
        return [family.loras for family in families if isinstance(family, GuidedFamily)]

    def _fits(self, *others: ModelMemory, with_slots: bool = True) -> bool:
        loaded = self._loaded.items()
        memory = [*(self._memory_of(name, family, with_slots=with_slots) for name, family in loaded), *others]
        return len(memory) <= self._most_loaded and fit(memory, self._capacity_bytes)

    def _memory_of(self, name: str, family: Family, *, with_slots: bool) -> ModelMemory:
        """Return what a loaded model takes now: its LoRAs are loaded at their first use."""
        memory = self._memory[name]
        if not isinstance(family, GuidedFamily):
            return memory
        slot_bytes = family.loras.device_bytes if with_slots else 0
        host_bytes = 0 if self._device.has_own_memory else family.loras.host_bytes
        return replace(memory, weights=memory.weights + slot_bytes + host_bytes)

    def _shrink(self, *others: ModelMemory, least: int = 0) -> None:
        """Make everything fit beside others: without slots of LoRAs if that suffices, or fewer models."""
        while len(self._loaded) > least and not self._fits(*others):
            if self._fits(*others, with_slots=False):
                next(loras for loras in self.loras() if loras.device_bytes).release()
            else:
                self._evict_oldest()

    def _make_room(self, expected: ModelMemory) -> None:
        self._shrink(expected)
        self._device.free_memory()

    def _evict_oldest(self) -> None:
        name, family = self._loaded.popitem(last=False)
        networks = [weakref.ref(network) for network in family.origin.networks.values()]
        is_kept = self._host_cache.keep(name, family)
        del family
        if not is_kept and any(network() is not None for network in networks):
            gc.collect()  # a reference cycle holds the model
        _log.info("model_unloaded", model=name)

    def _load_or_record_failure(self, spec: ModelSpec, before_load: Callable[[], None]) -> Family:
        before_load()
        on_host = self._host_cache.take(spec.name)  # first: the next model to be evicted may displace it
        was_on_host = on_host is not None
        self._make_room(self._memory.get(spec.name) or expected_memory(spec, self._device))
        try:
            if on_host is not None:
                self._host_cache.restore(on_host)
                return on_host
            return self._load_and_measure(spec)
        except Exception as error:
            if is_device_lost(error):
                raise
            memory_ended = is_out_of_memory(error)
            reason = reason_of(error)
            frames = traceback.format_tb(error.__traceback__)
        # Outside the `except` block: the traceback would keep the half-loaded model in the device's
        # memory.
        on_host = None
        gc.collect()  # a family is part of reference cycles
        self._device.free_memory()
        had_others = bool(self._loaded)
        while memory_ended and self._loaded:
            self._evict_oldest()
        if was_on_host:
            _log.warning("model_not_restored", model=spec.name, reason=reason, frames=frames)
        if was_on_host or (memory_ended and had_others):
            return self._load_or_record_failure(spec, before_load)
        broken = self.backoff.failed(spec.name, reason)
        _log.error(
            "model_broken",
            model=spec.name,
            reason=reason,
            failures=broken.failures,
            retry_at=broken.retry_at.isoformat(),
            frames=frames,
        )
        raise ModelUnavailableError(spec.name, reason=reason)

    def _load_and_measure(self, spec: ModelSpec) -> Family:
        # Models are loaded during steps, too, but their weights are not tensors of inference mode.
        with torch.inference_mode(mode=False), torch.no_grad():
            family = self._load(spec, self._device)
        weights = bytes_on(self._device.torch_device, family.origin.networks.values())
        working = self._working_bytes(spec.name)
        if working is None:
            working = assumed_working(weights, self._device)
        self._memory[spec.name] = ModelMemory(weights=weights, working=working)
        return family


def reason_of(error: Exception) -> str:
    """Return why a model could not be loaded, for operators."""
    if isinstance(error, ModelUnavailableError):
        return error.reason
    is_explained = isinstance(error, ModelRefusedError | UnservableModelError)
    return str(error) if is_explained else f"{type(error).__name__}: {error}"

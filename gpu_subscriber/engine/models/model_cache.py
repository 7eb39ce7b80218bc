"""The loaded models: loads them at their first use, and unloads the least recently used one."""

import traceback
from collections import OrderedDict
from collections.abc import Callable

import structlog

from common.domain.models.catalog import ModelSpec
from gpu_subscriber.engine.devices import Device, is_device_lost
from gpu_subscriber.engine.errors import ModelRefusedError, ModelUnavailableError
from gpu_subscriber.engine.models.loading import Family
from gpu_subscriber.engine.models.model_backoff import ModelBackoff

_log = structlog.get_logger()

Load = Callable[[ModelSpec, Device], Family]


class ModelCache:
    """Up to `capacity` loaded models by name; tests pass families of their own through `load`.

    `load` covers everything up to the last measurement of the warm-up. An error in it affects only
    its model, unless the device is lost.
    """

    def __init__(
        self,
        specs: tuple[ModelSpec, ...],
        device: Device,
        *,
        capacity: int,
        load: Load,
        backoff: ModelBackoff | None = None,
    ) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._device = device
        self._capacity = max(1, capacity)
        self._load = load
        self._loaded: OrderedDict[str, Family] = OrderedDict()
        self.backoff = backoff or ModelBackoff()

    @property
    def loaded(self) -> frozenset[str]:
        """The names of the loaded models."""
        return frozenset(self._loaded)

    def offers(self, name: str) -> bool:
        """Return whether the catalog has this model."""
        return name in self._specs

    def get(self, name: str) -> Family:
        """Return the model's family. Loads it if necessary, which may take minutes.

        Raises ModelUnavailableError. While the model is in its backoff, no load is attempted.
        """
        if name in self._loaded:
            self._loaded.move_to_end(name)
            return self._loaded[name]
        if self.backoff.seconds_left(name) > 0:
            raise ModelUnavailableError(name, reason="it failed to load, and is in its backoff")
        while len(self._loaded) >= self._capacity:
            evicted, _ = self._loaded.popitem(last=False)
            _log.info("model_unloaded", model=evicted)
        self._device.free_memory()
        family = self._loaded[name] = self._load_or_record_failure(self._specs[name])
        self.backoff.recovered(name)
        _log.info("model_loaded", model=name)
        return family

    def _load_or_record_failure(self, spec: ModelSpec) -> Family:
        try:
            return self._load(spec, self._device)
        except Exception as error:
            if is_device_lost(error):
                raise
            reason = reason_of(error)
            frames = traceback.format_tb(error.__traceback__)
        # Outside the `except` block: the traceback would keep the half-loaded model in the device's
        # memory.
        self._device.free_memory()
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


def reason_of(error: Exception) -> str:
    """Return why a model could not be loaded, for operators."""
    if isinstance(error, ModelUnavailableError):
        return error.reason
    return str(error) if isinstance(error, ModelRefusedError) else f"{type(error).__name__}: {error}"

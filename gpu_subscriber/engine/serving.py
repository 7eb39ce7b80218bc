"""The engine's loop: hear, advance, until told to stop. Its return value is the process's exit code."""

import os
import traceback

import structlog

from common.domain.model_catalog import ModelSpec
from gpu_subscriber.engine import exit_codes
from gpu_subscriber.engine.batch_caps import BatchCaps
from gpu_subscriber.engine.batch_planning import BatchKey
from gpu_subscriber.engine.devices import Device, is_device_lost
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.errors import ModelUnavailableError
from gpu_subscriber.engine.messages import EngineReady, Shutdown, WarmUpTimes
from gpu_subscriber.engine.model_shelf import Family, ModelShelf, load_family
from gpu_subscriber.engine.origin import software_versions
from gpu_subscriber.engine.parent_link import ParentLink
from gpu_subscriber.engine.step_engine import StepEngine
from gpu_subscriber.engine.warm_up import default_parameters, warm_up

_log = structlog.get_logger()


def serve(link: ParentLink, settings: EngineSettings) -> int:
    """Load the first model, say EngineReady, and work until Shutdown. Returns the exit code, never raises."""
    try:
        return _Serving(link, settings).until_shutdown()
    except ModelUnavailableError as error:
        _log.error("engine_gave_up", code=error.code, reason=str(error))
        return exit_codes.MODEL_UNAVAILABLE
    except Exception as error:
        lost = is_device_lost(error)
        frames = traceback.format_tb(error.__traceback__)
        _log.error(
            "engine_broke", device_lost=lost, error=type(error).__name__, reason=str(error), frames=frames
        )
        return exit_codes.DEVICE_LOST if lost else exit_codes.ENGINE_BROKEN


class _Serving:
    def __init__(self, link: ParentLink, settings: EngineSettings) -> None:
        self._link = link
        self._settings = settings
        self._device = Device.chosen(settings)
        if not self._device.is_cuda:
            os.nice(settings.niceness)
        self._caps = BatchCaps(max_batch=settings.max_batch)
        self._shelf = ModelShelf(
            settings.models, self._device, capacity=settings.loaded_models, load=self._load
        )
        self._engine = StepEngine(
            shelf=self._shelf,
            device=self._device,
            caps=self._caps,
            settings=settings,
            send=link.send,
            pump=lambda: self._hear(wait=False),
        )
        self._warm_up: WarmUpTimes | None = None
        self._shutdown: Shutdown | None = None

    def until_shutdown(self) -> int:
        first = self._settings.models[0]
        self._shelf.get(first.name)
        self._link.send(
            EngineReady(
                models=tuple(spec.name for spec in self._settings.models),
                device=self._device.name,
                dtype=str(self._device.dtype).removeprefix("torch."),
                slots=self._caps.cap_of(BatchKey.of(default_parameters(first))),
                versions=software_versions(),
                warm_up=self._warm_up,
            )
        )
        while True:
            self._hear(wait=not self._engine.is_busy)
            if self._shutdown is not None:
                self._engine.interrupt_all(want_checkpoints=self._shutdown.want_checkpoints)
                return exit_codes.STOPPED
            self._engine.advance()

    def _hear(self, *, wait: bool) -> None:
        """Take in every message that is there; with `wait`, at least one."""
        message = self._link.next(wait=wait)
        while message is not None:
            if isinstance(message, Shutdown):
                self._shutdown = message
                self._engine.stop_drawing()
            else:
                self._engine.receive(message)
            message = self._link.next(wait=False)

    def _load(self, spec: ModelSpec, device: Device) -> Family:
        family = load_family(spec, device, compile_denoiser=self._settings.compile_denoiser)
        self._warm_up = warm_up(family, spec, device, self._caps, measure=self._settings.measure_at_start)
        return family

"""The engine's loop: receive messages and advance the Runs until Shutdown. Returns the exit code."""

import os
import traceback
from functools import partial

import structlog

from common.domain.models.spec import ModelSpec
from gpu_subscriber.engine import exit_codes
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.graphed_passes import CudaGraphs, Graphs
from gpu_subscriber.engine.content_policy.image_classifier import ImageClassifier, accept_all
from gpu_subscriber.engine.content_policy.safety_checker import SafetyChecker
from gpu_subscriber.engine.devices import Device, is_device_lost
from gpu_subscriber.engine.duplex_pipe import DuplexPipe
from gpu_subscriber.engine.engine_settings import DtypeChoice, EngineSettings
from gpu_subscriber.engine.errors import ModelUnavailableError
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.gpu_driver import GpuUnusableError
from gpu_subscriber.engine.messages import EngineReady, FromEngine, Shutdown, ToEngine, WarmUpTimes
from gpu_subscriber.engine.models.loading import Family, is_exclusive, load_family
from gpu_subscriber.engine.models.model_cache import ModelCache
from gpu_subscriber.engine.models.model_provenance import software_versions
from gpu_subscriber.engine.models.quantization import quantize
from gpu_subscriber.engine.process_memory import keep_freed_memory
from gpu_subscriber.engine.step_engine import StepEngine
from gpu_subscriber.engine.tuning.compilation import missing_for_compiling
from gpu_subscriber.engine.tuning.precision import (
    Trial,
    has_bfloat16_instructions,
    in_dtype,
    load_in_better_precision,
)
from gpu_subscriber.engine.tuning.quality_check import quantize_and_check
from gpu_subscriber.engine.tuning.warm_up import Measured, default_parameters, warm_up

_log = structlog.get_logger()


def serve(pipe: DuplexPipe[ToEngine, FromEngine], settings: EngineSettings) -> int:
    """Load a model, send EngineReady, and work until Shutdown. Returns the exit code, never raises."""
    try:
        return _MainLoop(pipe, settings).until_shutdown()
    except GpuUnusableError as error:
        _log.error("gpu_unusable", reason=str(error))
        return exit_codes.GPU_UNUSABLE
    except Exception as error:
        lost = is_device_lost(error)
        frames = traceback.format_tb(error.__traceback__)
        _log.error(
            "engine_broke", device_lost=lost, error=type(error).__name__, reason=str(error), frames=frames
        )
        return exit_codes.DEVICE_LOST if lost else exit_codes.ENGINE_BROKEN


class _MainLoop:
    def __init__(self, pipe: DuplexPipe[ToEngine, FromEngine], settings: EngineSettings) -> None:
        self._pipe = pipe
        self._settings = settings
        self._device = Device.chosen(settings)
        if not self._device.is_cuda:
            os.nice(settings.niceness)
            keep_freed_memory()
        self._compiles = settings.compile_denoiser and self._device.is_cuda
        if self._compiles and (missing := missing_for_compiling()):
            _log.error("networks_not_compiled", missing=missing)
            self._compiles = False
        self._caps = BatchCaps(max_batch=settings.max_batch, memory=self._device.memory)
        self._model_cache = ModelCache(
            settings.models,
            self._device,
            load=self._load,
            most_loaded=settings.loaded_models,
            host_cache_bytes=settings.host_cache_bytes,
            working_bytes=self._caps.working_bytes,
        )
        self._engine = StepEngine(
            model_cache=self._model_cache,
            device=self._device,
            caps=self._caps,
            settings=settings,
            send=pipe.send,
            classify=self._classifier(),
            pump=lambda: self._handle_messages(wait=False),
        )
        self._warm_up: WarmUpTimes | None = None
        self._measured: dict[str, Measured] = {}
        """What the first load of each model measured, by its name."""
        self._shutdown: Shutdown | None = None
        self._reported: object = None

    def _classifier(self) -> ImageClassifier:
        """Load the image classifier. Without it the engine must not start."""
        folder = self._settings.image_classifier
        return accept_all if folder is None else SafetyChecker.loaded(folder, self._device.torch_device)

    def until_shutdown(self) -> int:
        while True:
            self._load_any()
            self._report_changes()
            self._handle_messages(wait=not self._engine.is_busy, within_seconds=self._seconds_until_retry())
            if self._shutdown is not None:
                self._engine.interrupt_all(want_checkpoints=self._shutdown.want_checkpoints)
                return exit_codes.STOPPED
            self._engine.advance()

    def _load_any(self) -> None:
        """Load the first model that works, at the start and while every model is broken.

        A worker whose models are all broken gets no deliveries, so no Run triggers a load.
        """
        if self._model_cache.loaded or self._engine.is_busy:
            return
        for spec in self._settings.models:
            try:
                self._model_cache.get(spec.name)
            except ModelUnavailableError:
                continue
            return

    def _seconds_until_retry(self) -> float | None:
        """Return how long an engine without a loaded model waits for messages; None: no limit."""
        if self._model_cache.loaded:
            return None
        return min(self._model_cache.backoff.seconds_left(spec.name) for spec in self._settings.models)

    def _report_changes(self) -> None:
        """Send EngineReady when the loaded or the broken models have changed."""
        standing = (self._model_cache.loaded, self._model_cache.backoff.broken)
        if standing == self._reported:
            return
        self._reported = standing
        self._pipe.send(self._ready())

    def _ready(self) -> EngineReady:
        return EngineReady(
            models=tuple(spec.name for spec in self._settings.models),
            device=self._device.name,
            dtype=str(self._device.dtype).removeprefix("torch."),
            slots=self._slots(),
            versions=software_versions(),
            warm_up=self._warm_up,
            broken=self._model_cache.backoff.broken,
            exclusive=tuple(spec.name for spec in self._settings.models if is_exclusive(spec)),
        )

    def _slots(self) -> int:
        """Return the largest measured cap of the models that share steps.

        Before any measurement this is `max_batch`; without models that share steps it is 1.
        """
        sharing = [spec for spec in self._settings.models if not is_exclusive(spec)]
        measured = [spec for spec in sharing if self._caps.is_measured(spec.name)]
        return max((self._caps.slots_of(spec.name) for spec in measured or sharing), default=1)

    def _handle_messages(self, *, wait: bool, within_seconds: float | None = None) -> None:
        """Process all pending messages.

        With `wait`, block until one arrives or `within_seconds` have passed.
        """
        message = self._pipe.receive(wait=wait, within_seconds=within_seconds)
        while message is not None:
            if isinstance(message, Shutdown):
                self._shutdown = message
                self._engine.stop_generating()
            else:
                self._engine.receive(message)
            message = self._pipe.receive(wait=False)

    def _load(self, spec: ModelSpec, device: Device) -> Family:
        known = self._measured.get(spec.name)
        if known is None:
            family, dtype = self._load_first(spec, device)
            if spec.quantization != "none" and isinstance(family, GuidedFamily):
                quantize_and_check(family, default_parameters(spec), spec.quantization, quantize)
            times = warm_up(
                family,
                spec,
                device,
                self._caps,
                measure=self._settings.measure_at_start,
                graphs=self._new_graphs(),
            )
            chosen = family.origin.environment
            known = Measured(
                dtype=dtype, times=times, channels_last=chosen.channels_last, attention=chosen.attention
            )
            self._measured[spec.name] = known
        else:
            family = self._load_files(in_dtype(spec, known.dtype), device)
            if spec.quantization != "none" and isinstance(family, GuidedFamily):
                family.quantize(spec.quantization, quantize)
            known.apply(family)
            warm_up(family, spec, device, self._caps, measure=False, graphs=self._new_graphs())
        self._warm_up = known.times
        return family

    def _new_graphs(self) -> Graphs | None:
        return CudaGraphs() if self._settings.cuda_graphs and self._device.is_cuda else None

    def _load_first(self, spec: ModelSpec, device: Device) -> tuple[Family, DtypeChoice]:
        is_open = self._settings.dtype == "measured" and spec.dtype == "auto"
        if not is_open or device.is_cuda or not has_bfloat16_instructions():
            return self._load_files(spec, device), spec.dtype
        return load_in_better_precision(
            spec,
            load=partial(self._load_files, device=device),
            trial_of=partial(Trial.of, parameters=default_parameters(spec), device=device),
        )

    def _load_files(self, spec: ModelSpec, device: Device) -> Family:
        return load_family(spec, device, compile_denoiser=self._compiles, max_batch=self._settings.max_batch)

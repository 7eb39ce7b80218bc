"""The step engine in this process, for the engine's benchmarks.

By default with the demo model; without its trained weights with untrained networks of the same
sizes, which are equally fast.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import StableDiffusionPipeline

from common.domain.models.catalog import DEMO_MODEL
from common.domain.models.spec import ModelSpec
from common.domain.parameters import GenerationParameters
from common.domain.task import Lane
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.families.guided import GuidedFamily
from gpu_subscriber.engine.messages import FromEngine, ImageReady, RunFailed, Start
from gpu_subscriber.engine.models.loading import load_family, model_folder
from gpu_subscriber.engine.models.model_cache import ModelCache
from gpu_subscriber.engine.models.quantization import quantize
from gpu_subscriber.engine.runs.active_runs import Send
from gpu_subscriber.engine.step_engine import StepEngine
from gpu_subscriber.engine.tuning.warm_up import warm_up


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredEngine:
    """A warm model on its device, and its batch size."""

    spec: ModelSpec
    device: Device
    caps: BatchCaps
    model_cache: ModelCache

    @classmethod
    def loaded(cls, settings: EngineSettings) -> "MeasuredEngine":
        """Load and warm up the one model of `settings` on the chosen device."""
        (spec,) = settings.models
        device = Device.chosen(settings)
        family = load_family(spec, device, compile_denoiser=settings.compile_denoiser)
        if spec.quantization != "none" and isinstance(family, GuidedFamily):
            family.quantize(spec.quantization, quantize)
        caps = BatchCaps(max_batch=settings.max_batch, memory=device.memory)
        warm_up(family, spec, device, caps, measure=settings.measure_at_start)
        model_cache = ModelCache((spec,), device, load=lambda *_: family)
        return cls(spec=spec, device=device, caps=caps, model_cache=model_cache)

    def new_engine(
        self,
        send: Send,
        *,
        caps: BatchCaps | None = None,
        checkpoint_interval_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> StepEngine:
        """Return an engine without Runs that generates with the warm model."""
        settings = EngineSettings(
            models=(self.spec,), checkpoint_interval_seconds=checkpoint_interval_seconds
        )
        return StepEngine(
            model_cache=self.model_cache,
            device=self.device,
            caps=caps or self.caps,
            settings=settings,
            send=send,
            clock=clock,
        )

    def generate(
        self,
        requests: list[GenerationParameters],
        *,
        caps: BatchCaps | None = None,
        checkpoint_interval_seconds: float = 0.0,
    ) -> list[FromEngine]:
        """Generate all images, which arrive at once, and return what the engine sent."""
        sent: list[FromEngine] = []
        engine = self.new_engine(
            sent.append, caps=caps, checkpoint_interval_seconds=checkpoint_interval_seconds
        )
        for parameters in requests:
            engine.receive(start_of(parameters))
        while engine.is_busy:
            engine.advance()
        generated = sum(isinstance(message, ImageReady) for message in sent)
        if generated != len(requests):
            codes = {message.failure.code for message in sent if isinstance(message, RunFailed)}
            reasons = ", ".join(sorted(codes)) or "none failed"
            raise RuntimeError(f"{generated} of {len(requests)} images were generated: {reasons}")
        return sent

    def timed(self, work: Callable[[], object]) -> float:
        """Return the seconds that the work took, including the device's."""
        started = time.perf_counter()
        work()
        self.device.synchronize()
        return time.perf_counter() - started


def start_of(parameters: GenerationParameters, *, queued_at: float = 0.0) -> Start:
    """Return the message that starts one image. Its Run is named by its seed."""
    return Start(
        run_id=str(parameters.seed),
        parameters=parameters,
        index=0,
        lane=Lane.INTERACTIVE,
        queued_at=queued_at,
    )


@contextmanager
def measured_engine(*, cpu_threads: int | None = None) -> Iterator[MeasuredEngine]:
    """Load, warm up and measure batch sizes of the demo model."""
    with tempfile.TemporaryDirectory() as scratch:
        models = (measured_model(Path(scratch)),)
        yield MeasuredEngine.loaded(EngineSettings(models=models, cpu_threads=cpu_threads))


def measured_model(scratch: Path) -> ModelSpec:
    """Return the demo model, or an untrained one of the same size in the folder `scratch`."""
    folder = model_folder(DEMO_MODEL.source)
    if folder is not None and (folder / "model_index.json").is_file():
        return DEMO_MODEL
    from gpu_subscriber.demo_model.training import networks  # noqa: PLC0415 (only without weights)
    from gpu_subscriber.demo_model.training.tokenizer import new_tokenizer  # noqa: PLC0415

    tokenizer = new_tokenizer(scratch / "tokenizer-source")
    pipeline: Any = StableDiffusionPipeline(
        vae=networks.new_autoencoder(),
        text_encoder=networks.new_text_encoder(tokenizer),
        tokenizer=tokenizer,
        unet=networks.new_unet(),
        scheduler=networks.new_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(scratch / "untrained")
    return DEMO_MODEL.model_copy(update={"source": str(scratch / "untrained")})

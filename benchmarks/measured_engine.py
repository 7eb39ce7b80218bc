"""The step engine in this process, with the demo model, for the engine's benchmarks.

Without the trained weights it uses untrained networks of the same sizes, which are equally fast.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffusers import StableDiffusionPipeline

from common.domain.models.catalog import DEMO_MODEL, ModelSpec
from common.domain.parameters import GenerationParameters
from common.domain.task import Lane
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.messages import FromEngine, ImageReady, Start
from gpu_subscriber.engine.models.loading import load_family, model_folder
from gpu_subscriber.engine.models.model_cache import ModelCache
from gpu_subscriber.engine.models.warm_up import warm_up
from gpu_subscriber.engine.step_engine import StepEngine


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredEngine:
    """A warm model on its device, and its batch size."""

    spec: ModelSpec
    device: Device
    caps: BatchCaps
    model_cache: ModelCache

    def generate(
        self,
        requests: list[GenerationParameters],
        *,
        caps: BatchCaps | None = None,
        checkpoint_interval_seconds: float = 0.0,
    ) -> None:
        sent: list[FromEngine] = []
        settings = EngineSettings(
            models=(self.spec,), checkpoint_interval_seconds=checkpoint_interval_seconds
        )
        engine = StepEngine(
            model_cache=self.model_cache,
            device=self.device,
            caps=caps or self.caps,
            settings=settings,
            send=sent.append,
        )
        for parameters in requests:
            engine.receive(
                Start(
                    run_id=str(parameters.seed),
                    parameters=parameters,
                    index=0,
                    lane=Lane.INTERACTIVE,
                    submitted_at=0.0,
                )
            )
        while engine.is_busy:
            engine.advance()
        generated = sum(isinstance(message, ImageReady) for message in sent)
        if generated != len(requests):
            raise RuntimeError(f"{generated} of {len(requests)} images were generated")

    def timed(self, work: Callable[[], None]) -> float:
        """Return the seconds that the work took, including the device's."""
        started = time.perf_counter()
        work()
        self.device.synchronize()
        return time.perf_counter() - started


@contextmanager
def measured_engine() -> Iterator[MeasuredEngine]:
    """Load, warm up and measure batch sizes."""
    with tempfile.TemporaryDirectory() as scratch:
        spec = _measured_model(Path(scratch))
        settings = EngineSettings(models=(spec,))
        device = Device.chosen(settings)
        family = load_family(spec, device)
        caps = BatchCaps(max_batch=settings.max_batch)
        warm_up(family, spec, device, caps, measure=True)
        model_cache = ModelCache((spec,), device, load=lambda *_: family)
        yield MeasuredEngine(spec=spec, device=device, caps=caps, model_cache=model_cache)


def _measured_model(scratch: Path) -> ModelSpec:
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

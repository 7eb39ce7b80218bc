"""DrivenEngine: a step engine that a test advances step by step, with a clock of its own."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from common.domain.models.limits import ModelDefaults, ModelLimits
from common.domain.models.spec import ModelSpec
from common.domain.parameters import GenerationParameters, OutputFormat, Sampler
from common.domain.task import Lane
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.content_policy.image_classifier import ImageClassifier, accept_all
from gpu_subscriber.engine.device_memory import DeviceMemory
from gpu_subscriber.engine.devices import Device, DeviceEvent
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.messages import FromEngine, ImageReady, Interrupt, RunFailed, Start, StepDone
from gpu_subscriber.engine.models.loading import Family
from gpu_subscriber.engine.models.model_backoff import ModelBackoff
from gpu_subscriber.engine.models.model_cache import ModelCache
from gpu_subscriber.engine.step_engine import StepEngine
from tests.unit.gpu_subscriber.engine.tiny_pipelines import SIDE

CPU = Device(torch_device=torch.device("cpu"), dtype=torch.float32)


def spec(
    name: str = "tiny", *, source: str = "unused", family: str = "stable_diffusion", **files: Any
) -> ModelSpec:
    """Return a catalog entry whose default image is tiny."""
    return ModelSpec(
        name=name,
        title=name,
        family=family,
        source=source,
        **files,
        limits=ModelLimits(min_side=8, max_images=64),
        defaults=ModelDefaults(steps=4, width=SIDE, height=SIDE),
    )


def drawing(**changes: Any) -> GenerationParameters:
    """Return complete parameters of a tiny image."""
    fields: dict[str, Any] = {
        "prompt": "a red fox",
        "negative_prompt": None,
        "model": "tiny",
        "steps": 4,
        "guidance_scale": 5.0,
        "seed": 7,
        "sampler": Sampler.DDIM,
        "width": SIDE,
        "height": SIDE,
        "num_images": 1,
        "output_format": OutputFormat.PNG,
        **changes,
    }
    return GenerationParameters(**fields)


class DrivenEngine:
    """`sent` holds every message to the parent, in order."""

    def __init__(
        self,
        families: dict[str, Family] | Family,
        *,
        max_batch: int = 8,
        new_event: Callable[[], DeviceEvent] | None = None,
        memory: DeviceMemory | None = None,
        load: Callable[[str], Family] | None = None,
        classify: ImageClassifier = accept_all,
        **settings: Any,
    ) -> None:
        self.families = families if isinstance(families, dict) else {"tiny": families}
        self.sent: list[FromEngine] = []
        self.now = 0.0
        self.device = Device(
            torch_device=torch.device("cpu"),
            dtype=torch.float32,
            new_event=new_event,
            clock=lambda: self.now,
            memory=memory,
        )
        self.caps = BatchCaps(max_batch=max_batch, memory=memory)
        fetch = load or self.families.__getitem__
        models = tuple(spec(name) for name in self.families)
        chosen = EngineSettings(models=models, max_batch=max_batch, **{"loaded_models": 1, **settings})
        self.model_cache = ModelCache(
            models,
            self.device,
            load=lambda model, device: fetch(model.name),
            most_loaded=chosen.loaded_models,
            backoff=ModelBackoff(clock=lambda: self.now),
        )
        self.engine = StepEngine(
            model_cache=self.model_cache,
            device=self.device,
            caps=self.caps,
            settings=chosen,
            send=self.hear,
            classify=classify,
            clock=lambda: self.now,
        )

    def hear(self, message: FromEngine) -> None:
        self.sent.append(message)

    def pass_time(self, seconds: float) -> None:
        """Advance the clock of the engine and of a device without events."""
        self.now += seconds

    def start(self, run_id: str, parameters: GenerationParameters, *, index: int = 0, **changes: Any) -> None:
        fields: dict[str, Any] = {"lane": Lane.INTERACTIVE, "queued_at": 0.0, **changes}
        self.engine.receive(Start(run_id=run_id, parameters=parameters, index=index, **fields))

    def start_runs(self, count: int, **changes: Any) -> None:
        """Start the runs "0", "1", …, each with its number as seed."""
        for number in range(count):
            self.start(str(number), drawing(seed=number, **changes))

    def interrupt(self, run_id: str, *, want_checkpoint: bool = False) -> None:
        self.engine.receive(Interrupt(run_id=run_id, want_checkpoint=want_checkpoint))

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.engine.advance()

    def run_to_end(self, *, at_most: int = 500) -> None:
        for _ in range(at_most):
            if not self.engine.is_busy:
                return
            self.engine.advance()
        raise AssertionError("the engine does not come to an end")

    def draw(
        self, run_id: str = "run", parameters: GenerationParameters | None = None, **changes: Any
    ) -> None:
        """Start a run, and advance the engine until it is idle."""
        self.start(run_id, parameters or drawing(), **changes)
        self.run_to_end()

    def of_kind(self, kind: type, run_id: str | None = None) -> list[Any]:
        return [
            message
            for message in self.sent
            if isinstance(message, kind) and run_id in (None, getattr(message, "run_id", None))
        ]

    def steps_of(self, run_id: str) -> list[int]:
        return [message.step for message in self.of_kind(StepDone, run_id)]

    @property
    def drawn_runs(self) -> list[str]:
        return [message.run_id for message in self.of_kind(ImageReady)]

    @property
    def failed_runs(self) -> list[str]:
        return [message.run_id for message in self.of_kind(RunFailed)]

    def picture(self, run_id: str) -> np.ndarray:
        """Return the finished image, (H, W, 3) uint8."""
        (image,) = self.of_kind(ImageReady, run_id)
        return np.frombuffer(image.pixels, np.uint8).reshape(image.height, image.width, 3)

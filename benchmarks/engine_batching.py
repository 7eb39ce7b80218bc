"""What sharing batches is worth: the same images one by one from the stock pipeline, and from the step engine.

Without the trained weights, networks of the same sizes stand in for them: speed does not depend on what they learnt.
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline, StableDiffusionPipeline

from benchmarks.measurement import spread_of
from common.domain.model_catalog import DEMO_MODEL, ModelSpec
from common.domain.parameters import GenerationParameters
from common.domain.task import Lane
from gpu_subscriber.engine.batch_caps import BatchCaps
from gpu_subscriber.engine.batch_planning import BatchKey
from gpu_subscriber.engine.devices import Device
from gpu_subscriber.engine.engine_settings import EngineSettings
from gpu_subscriber.engine.messages import FromEngine, ImageReady, Start
from gpu_subscriber.engine.model_shelf import ModelShelf, load_family, model_folder
from gpu_subscriber.engine.step_engine import StepEngine
from gpu_subscriber.engine.warm_up import default_parameters, warm_up

ROUNDS = 5
IMAGES = 8


def run(*, rounds: int = ROUNDS, images: int = IMAGES) -> Iterator[str]:
    """One line per way of drawing; rounds take turns so that a busy machine slows all of them alike."""
    with tempfile.TemporaryDirectory() as scratch:
        spec = _measured_model(Path(scratch))
        settings = EngineSettings(models=(spec,), checkpoint_interval_seconds=0)
        device = Device.chosen(settings)
        stock: Any = DiffusionPipeline.from_pretrained(
            model_folder(spec.source), torch_dtype=device.dtype, use_safetensors=True
        ).to(device.torch_device)
        stock.set_progress_bar_config(disable=True)
        family = load_family(spec, device)
        caps = BatchCaps(max_batch=settings.max_batch)
        warm_up(family, spec, device, caps, measure=True)
        shelf = ModelShelf((spec,), device, capacity=1, load=lambda *_: family)
        asked = [default_parameters(spec).model_copy(update={"seed": seed}) for seed in range(images)]
        ways: dict[str, Callable[[], None]] = {
            "stock": lambda: _draw_stock(stock, asked),
            "one by one": lambda: _draw(shelf, device, BatchCaps(max_batch=1), settings, asked),
            "shared": lambda: _draw(shelf, device, caps, settings, asked),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, draw in ways.items():
                seconds[name].append(_timed(draw, device) / images)
        cap = caps.cap_of(BatchKey.of(asked[0]))
    yield f"{images} images of {asked[0].width}², {asked[0].steps} steps, guidance, on {device.name}"
    yield f"stock pipeline, one by one     {spread_of(seconds['stock']).said(' s an image', 3)}"
    for name, label in (("one by one", "engine, one by one"), ("shared", f"engine, batches of up to {cap}")):
        ratios = [own / other for own, other in zip(seconds[name], seconds["stock"], strict=True)]
        yield f"{label:<30} {spread_of(seconds[name]).said(' s an image', 3)}"
        yield f"{'':<30} {spread_of(ratios).said(' of the stock time')}"


def _measured_model(scratch: Path) -> ModelSpec:
    folder = model_folder(DEMO_MODEL.source)
    if folder is not None and (folder / "model_index.json").is_file():
        return DEMO_MODEL
    from gpu_subscriber.demo_model.training import networks  # noqa: PLC0415 (only where weights are missing)
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


def _draw_stock(pipeline: Any, asked: list[GenerationParameters]) -> None:
    for parameters in asked:
        pipeline(
            parameters.prompt,
            num_inference_steps=parameters.steps,
            guidance_scale=parameters.guidance_scale,
            width=parameters.width,
            height=parameters.height,
            generator=torch.Generator("cpu").manual_seed(parameters.seed),
        )


def _draw(
    shelf: ModelShelf,
    device: Device,
    caps: BatchCaps,
    settings: EngineSettings,
    asked: list[GenerationParameters],
) -> None:
    sent: list[FromEngine] = []
    engine = StepEngine(shelf=shelf, device=device, caps=caps, settings=settings, send=sent.append)
    for parameters in asked:
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
    drawn = sum(isinstance(message, ImageReady) for message in sent)
    if drawn != len(asked):
        raise RuntimeError(f"{drawn} of {len(asked)} images were drawn")


def _timed(work: Callable[[], None], device: Device) -> float:
    began = time.perf_counter()
    work()
    device.synchronize()
    return time.perf_counter() - began

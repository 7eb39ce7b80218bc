"""Gain from shared batches: the same images from the stock pipeline and the step engine."""

from collections.abc import Callable, Iterator
from typing import Any

from diffusers import DiffusionPipeline

from benchmarks import stock_pipeline
from benchmarks.measured_engine import MeasuredEngine, measured_engine
from benchmarks.measurement import ratios, spread_of
from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.batches.batch_caps import BatchCaps
from gpu_subscriber.engine.batches.batch_planning import BatchKey
from gpu_subscriber.engine.models.loading import model_folder
from gpu_subscriber.engine.tuning.warm_up import default_parameters

ROUNDS = 5
IMAGES = 8
WIDTHS = (1.0, 0.75, 1.25)
"""Widths of the mixed images, relative to the default: three batch keys."""


def run(*, rounds: int = ROUNDS, images: int = IMAGES) -> Iterator[str]:
    """Alternate between the variants, so that load on the machine affects all equally."""
    with measured_engine() as engine:
        stock: Any = DiffusionPipeline.from_pretrained(
            model_folder(engine.spec.source), dtype=engine.device.dtype, use_safetensors=True
        ).to(engine.device.torch_device)
        stock.set_progress_bar_config(disable=True)
        requests = [
            default_parameters(engine.spec).model_copy(update={"seed": seed}) for seed in range(images)
        ]
        mixed = [
            request.model_copy(update={"width": int(request.width * WIDTHS[number % len(WIDTHS)])})
            for number, request in enumerate(requests)
        ]
        variants: dict[str, Callable[[], object]] = {
            "stock": lambda: _generate_stock_one_by_one(stock, requests),
            "one by one": lambda: engine.generate(requests, caps=BatchCaps(max_batch=1)),
            "shared": lambda: engine.generate(requests),
            "mixed one by one": lambda: _generate_one_by_one(engine, mixed),
            "mixed": lambda: engine.generate(mixed),
        }
        seconds: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(rounds):
            for name, generate in variants.items():
                seconds[name].append(engine.timed(generate) / images)
        cap = engine.caps.cap_of(BatchKey.of(requests[0]))
    yield f"{images} images of {requests[0].width}², {requests[0].steps} steps, guidance, on {engine.device.name}"
    yield f"stock pipeline, one by one     {spread_of(seconds['stock']).format(' s per image', 3)}"
    for name, label in (("one by one", "engine, one by one"), ("shared", f"engine, batches of up to {cap}")):
        yield f"{label:<30} {spread_of(seconds[name]).format(' s per image', 3)}"
        yield f"{'':<30} {ratios(seconds[name], seconds['stock']).format(' of the stock time')}"
    share = ratios(seconds["mixed"], seconds["mixed one by one"])
    yield f"three widths in batches        {spread_of(seconds['mixed']).format(' s per image', 3)}"
    yield f"{'':<30} {share.format(' of the time one by one')}"


def _generate_one_by_one(engine: MeasuredEngine, requests: list[GenerationParameters]) -> None:
    for request in requests:
        engine.generate([request])


def _generate_stock_one_by_one(pipeline: Any, requests: list[GenerationParameters]) -> None:
    for parameters in requests:
        stock_pipeline.generate(pipeline, parameters)

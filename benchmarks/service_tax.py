"""Overhead of the whole system: 20 tasks compared with 20 calls of the stock pipeline.

Each round runs the stock pipeline and two variants of the system: all tasks submitted at once to a
worker with one slot (no sharing), and to one with the default slots (tasks share batches). The
engine process alone, with the same images at once, shows what the rest of the system adds.
"""

from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.measurement import ratios, spread_of
from benchmarks.other_processes import EngineUnderLoad, StockProcess
from benchmarks.prompts import PROMPTS
from benchmarks.whole_system import generate_all, warm_system
from common.domain.models.catalog import DEMO_MODEL
from gpu_subscriber.engine.models.loading import model_folder

ROUNDS = 5


def run() -> Iterator[str]:
    variants: dict[str, dict[str, str]] = {"no sharing": {"DARKROOM_SLOTS": "1"}, "sharing": {}}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    stock: list[float] = []
    alone: list[float] = []
    requests = [DEMO_MODEL.defaulted(prompt=prompt, seed=seed) for seed, prompt in enumerate(PROMPTS)]
    with ExitStack() as stack:
        pipeline = stack.enter_context(StockProcess.of(model_folder(DEMO_MODEL.source)))
        engine = stack.enter_context(EngineUnderLoad(DEMO_MODEL))
        clients = {name: stack.enter_context(warm_system(each))[1] for name, each in variants.items()}
        for _ in range(ROUNDS):
            # The reference runs before and after: a machine that slows down midway slows both.
            before = pipeline.generate(requests).wall
            for name, client in clients.items():
                seconds[name].append(generate_all(client))
            alone.append(engine.generate(requests).wall)
            stock.append((before + pipeline.generate(requests).wall) / 2)
    yield f"stock pipeline, 20 images one by one: {spread_of(stock).format(' s')}"
    for name, values in seconds.items():
        yield f"{name}: {ratios(values, stock).format(' x')} the stock pipeline's time"
    yield f"sharing: {ratios(seconds['sharing'], alone).format(' x')} the time of the engine process alone"

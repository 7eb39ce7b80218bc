"""Overhead of the whole system: 20 tasks compared with 20 calls of the stock pipeline.

    python -m benchmarks service_tax --parts backlog

Each round runs the stock pipeline and two variants of the system: all tasks submitted at once to a
worker with one slot (no sharing), and to one with the default slots (tasks share batches). The
engine process alone, with the same images at once, shows what the rest of the system adds: the part
`backlog`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise

from benchmarks.measurement import ratios, spread_of
from benchmarks.other_processes import EngineUnderLoad, StockProcess
from benchmarks.parts import PARTS
from benchmarks.prompts import PROMPTS
from benchmarks.whole_system import generate_all, warm_system
from common.domain.models.catalog import DEMO_MODEL
from gpu_subscriber.engine.models.loading import model_folder

ROUNDS = 5
_SYSTEMS: dict[str, dict[str, str]] = {"no_sharing": {"DARKROOM_SLOTS": "1"}, "sharing": {}}


def run(*, parts: Sequence[str] = PARTS["service_tax"], rounds: int = ROUNDS) -> Iterator[str]:
    requests = [DEMO_MODEL.defaulted(prompt=prompt, seed=seed) for seed, prompt in enumerate(PROMPTS)]
    compared = [name for name in _SYSTEMS if name in parts]
    needed = [name for name in _SYSTEMS if name in parts or (name == "sharing" and "backlog" in parts)]
    with ExitStack() as stack:
        timed: dict[str, Callable[[], float]] = {}
        if compared:
            pipeline = stack.enter_context(StockProcess.of(model_folder(DEMO_MODEL.source)))
            timed["stock"] = lambda: pipeline.generate(requests).wall
        for name in needed:
            timed[name] = partial(generate_all, stack.enter_context(warm_system(_SYSTEMS[name]))[1])
        if "backlog" in parts:
            engine = stack.enter_context(EngineUnderLoad(DEMO_MODEL))
            engine.generate(requests)  # warms up
            timed["engine"] = lambda: engine.generate(requests).wall
        seconds: dict[str, list[float]] = {name: [] for name in timed}
        for _ in range(rounds):
            for name, generate in timed.items():
                seconds[name].append(generate())
        if compared:
            seconds["stock"].append(timed["stock"]())
    if compared:
        # The reference runs before and after: a machine that slows down midway slows both.
        stock = [(before + after) / 2 for before, after in pairwise(seconds["stock"])]
        yield f"stock pipeline, 20 images one by one: {spread_of(stock).format(' s')}"
        for name in compared:
            yield f"{name}: {ratios(seconds[name], stock).format(' x')} the stock pipeline's time"
    if "backlog" in parts:
        tax = ratios(seconds["sharing"], seconds["engine"])
        yield f"sharing: {tax.format(' x')} the time of the engine process alone"

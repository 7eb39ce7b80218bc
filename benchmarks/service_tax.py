"""Overhead of the whole system: 20 tasks compared with 20 calls of the stock pipeline.

    python -m benchmarks service_tax --parts backlog

Each round runs the stock pipeline and two variants of the system: all tasks submitted at once to a
worker with one slot (no sharing), and to one with the default slots (tasks share batches).

The part `backlog` shows what the rest of the system adds to the engine process alone, with the same
images at once. There the engine has one core for itself, as it has a device on a GPU machine, and
everything else runs on the other cores.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise

import psutil

from benchmarks.measurement import ratios, spread_of
from benchmarks.other_processes import EngineUnderLoad, StockProcess
from benchmarks.parts import PARTS
from benchmarks.prompts import PROMPTS
from benchmarks.whole_system import engine_of, generate_all, warm_system
from common.domain.models.catalog import DEMO_MODEL
from common.domain.parameters import GenerationParameters
from gpu_subscriber.engine.models.loading import model_folder

ROUNDS = 5
_SYSTEMS: dict[str, dict[str, str]] = {"no_sharing": {"DARKROOM_SLOTS": "1"}, "sharing": {}}


def run(*, parts: Sequence[str] = PARTS["service_tax"], rounds: int = ROUNDS) -> Iterator[str]:
    requests = [DEMO_MODEL.defaulted(prompt=prompt, seed=seed) for seed, prompt in enumerate(PROMPTS)]
    if compared := [name for name in _SYSTEMS if name in parts]:
        yield from _compared_with_stock(requests, compared, rounds)
    if "backlog" in parts:
        yield from _compared_with_engine(requests, rounds)


def _compared_with_stock(
    requests: Sequence[GenerationParameters], compared: Sequence[str], rounds: int
) -> Iterator[str]:
    with ExitStack() as stack:
        pipeline = stack.enter_context(StockProcess.of(model_folder(DEMO_MODEL.source)))
        timed: dict[str, Callable[[], float]] = {"stock": lambda: pipeline.generate(requests).wall}
        for name in compared:
            timed[name] = partial(generate_all, stack.enter_context(warm_system(_SYSTEMS[name]))[1])
        seconds: dict[str, list[float]] = {name: [] for name in timed}
        for _ in range(rounds):
            for name, generate in timed.items():
                seconds[name].append(generate())
        seconds["stock"].append(timed["stock"]())
    # The reference runs before and after: a machine that slows down midway slows both.
    stock = [(before + after) / 2 for before, after in pairwise(seconds["stock"])]
    yield f"stock pipeline, 20 images one by one: {spread_of(stock).format(' s')}"
    for name in compared:
        yield f"{name}: {ratios(seconds[name], stock).format(' x')} the stock pipeline's time"


def _compared_with_engine(requests: Sequence[GenerationParameters], rounds: int) -> Iterator[str]:
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        raise SystemExit("the part backlog needs two cores: one is the engine's")
    reserved = {max(cores)}
    in_system: list[float] = []
    alone: list[float] = []
    with ExitStack() as stack:
        stack.callback(os.sched_setaffinity, 0, cores)
        os.sched_setaffinity(0, reserved)  # started processes inherit it
        engine = stack.enter_context(EngineUnderLoad(DEMO_MODEL))
        os.sched_setaffinity(0, cores - reserved)
        system, client = stack.enter_context(warm_system({"DARKROOM_CPU_THREADS": "1"}))
        _reserve(reserved, of=engine_of(system))
        for _ in range(1 + rounds):
            in_system.append(generate_all(client))
            alone.append(engine.generate(requests).wall)
    tax = ratios(in_system[1:], alone[1:])  # the first round warms up
    yield f"the whole system: {tax.format(' x', digits=3)} the time of the engine process alone"


def _reserve(cores: set[int], *, of: psutil.Process) -> None:
    """Move every thread of a process to these cores; threads that it starts later inherit them."""
    for thread in of.threads():
        os.sched_setaffinity(thread.id, cores)

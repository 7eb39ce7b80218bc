"""Overhead of the whole system: 20 tasks compared with 20 calls of the stock pipeline.

Each round runs the stock pipeline and two variants of the system: all tasks submitted at once to a
worker with one slot (no sharing), and to one with the default slots (tasks share batches).
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.measurement import ratios, spread_of
from benchmarks.whole_system import generate_all, warm_system

ROUNDS = 5


@contextmanager
def _stock_pipeline() -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "benchmarks.stock_pipeline"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield process
        process.stdin.close()


def _stock_round(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("generate\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def run() -> Iterator[str]:
    variants: dict[str, dict[str, str]] = {"no sharing": {"DARKROOM_SLOTS": "1"}, "sharing": {}}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    stock: list[float] = []
    with ExitStack() as stack:
        pipeline = stack.enter_context(_stock_pipeline())
        clients = {name: stack.enter_context(warm_system(each))[1] for name, each in variants.items()}
        for _ in range(ROUNDS):
            # The reference runs before and after: a machine that slows down midway slows both.
            before = _stock_round(pipeline)
            for name, client in clients.items():
                seconds[name].append(generate_all(client))
            stock.append((before + _stock_round(pipeline)) / 2)
    yield f"stock pipeline, 20 images one by one: {spread_of(stock).format(' s')}"
    for name, values in seconds.items():
        yield f"{name}: {ratios(values, stock).format(' x')} the stock pipeline's time"

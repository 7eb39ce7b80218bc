"""Overhead of the whole system on top of the model: 20 tasks compared with 20 calls of the stock pipeline.

Each round runs the stock pipeline and two variants of the system: all tasks submitted at once to a worker with one
slot (no sharing), and to one with the default slots (tasks share batches).
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.measurement import spread_of
from benchmarks.whole_system import all_drawn, warm_system

ROUNDS = 5


@contextmanager
def _stock_pipeline() -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "benchmarks.stock_pipeline"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "ready"
        yield process
        assert process.stdin is not None
        process.stdin.close()


def _stock_round(process: subprocess.Popen[str]) -> float:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write("draw\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def run() -> list[str]:
    ratios: dict[str, list[float]] = {"no sharing": [], "sharing": []}
    stock: list[float] = []
    with ExitStack() as stack:
        pipeline = stack.enter_context(_stock_pipeline())
        _, alone = stack.enter_context(warm_system({"DARKROOM_SLOTS": "1"}))
        _, sharing = stack.enter_context(warm_system({}))
        for _ in range(ROUNDS):
            # The reference runs before and after the measurement: a machine that slows down midway slows both.
            before = _stock_round(pipeline)
            seconds = {
                "no sharing": all_drawn(alone),
                "sharing": all_drawn(sharing),
            }
            after = _stock_round(pipeline)
            stock.append((before + after) / 2)
            for way, took in seconds.items():
                ratios[way].append(took / stock[-1])
    lines = [f"stock pipeline, 20 images one by one: {spread_of(stock).said(' s')}"]
    lines += [
        f"{way}: {spread_of(values).said(' x')} the stock pipeline's time" for way, values in ratios.items()
    ]
    return lines


if __name__ == "__main__":
    print("\n".join(run()))

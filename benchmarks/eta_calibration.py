"""Calibration of the ETA: 200 tasks of mixed sizes and steps, in bursts.

Targets: 50 % ± 10 % finish before p50, and at least 85 % before p90. The estimator calibrates on
warm-up tasks before, as in a running system.
"""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from benchmarks.measurement import percentile, spread_of
from benchmarks.prompts import PROMPTS
from benchmarks.whole_system import running_system
from darkroom import Client, Task, TaskStatus

TASKS = 200
WARM_UP_TASKS = 160
LARGEST_BURST = 16
SIDES = (64, 128, 192, 256)
STEPS = (4, 8, 12, 20)
TIMEOUT_SECONDS = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A task's ETA and its actual duration, in seconds from its submission."""

    p50: float
    p90: float
    took: float


def run() -> Iterator[str]:
    with running_system() as (stack, _), Client(str(stack.page_url)) as client:
        client.generate(PROMPTS[0])
        submitted = list(_submit_bursts(client, WARM_UP_TASKS + TASKS))[WARM_UP_TASKS:]
        cases = [_case(client, task) for task in submitted if task.eta is not None]
    by_length = sorted(cases, key=lambda case: case.p50)
    third = len(by_length) // 3
    yield f"{len(cases)} tasks with an ETA, {len(submitted) - len(cases)} without"
    yield f"all tasks: {_shares(cases)} (targets: 50 % ± 10 %, at least 85 %)"
    yield f"third with the shortest ETA: {_shares(by_length[:third])}"
    yield f"third with the longest ETA: {_shares(by_length[-third:])}"
    yield f"p90 / p50: median {percentile([case.p90 / case.p50 for case in cases], 50):.2f}"
    yield f"duration: {spread_of([case.took for case in cases]).format(' s', digits=1)}"


def _submit_bursts(client: Client, count: int) -> Iterator[Task]:
    """Submit bursts, with pauses for part or all of the queue, and yield each task."""
    chance = random.Random(1815)
    left = count
    while left:
        burst = min(left, chance.randint(1, LARGEST_BURST))
        for number in range(burst):
            side = chance.choice(SIDES)
            yield client.submit(
                PROMPTS[(left - number) % len(PROMPTS)],
                seed=left - number,
                steps=chance.choice(STEPS),
                width=side,
                height=side,
                guidance_scale=chance.choice((1.0, 2.5)),
            )
        left -= burst
        time.sleep(chance.uniform(0.3, 1.3) * (client.queue().backlog_gpu_seconds or 1.0))


def _case(client: Client, task: Task) -> Case:
    finished = client.wait(task, timeout_seconds=TIMEOUT_SECONDS)
    assert finished.status is TaskStatus.COMPLETED
    assert finished.finished_at is not None
    assert task.eta is not None
    assert task.eta.p50_seconds is not None
    assert task.eta.p90_seconds is not None
    took = (finished.finished_at - finished.created_at).total_seconds()
    return Case(p50=task.eta.p50_seconds, p90=task.eta.p90_seconds, took=took)


def _shares(cases: Sequence[Case]) -> str:
    before_p50 = sum(case.took <= case.p50 for case in cases) / len(cases)
    before_p90 = sum(case.took <= case.p90 for case in cases) / len(cases)
    return f"{before_p50:.0%} finished before p50, {before_p90:.0%} before p90"

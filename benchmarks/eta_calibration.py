"""Calibration of the ETA: 200 tasks of mixed sizes and steps, in bursts, with p50 and p90 from their submission.

Targets: 50 % ± 10 % finish before p50, and at least 85 % before p90. Earlier warm-up tasks do not count: the estimator
calibrates its errors on them, as a running system has already done.
"""

import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measurement import percentile, spread_of
from benchmarks.prompts import PROMPTS
from darkroom import Client, Task, TaskStatus
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack

TASKS = 200
TASKS_BEFORE = 160
LARGEST_BURST = 16
SIDES = (64, 128, 192, 256)
STEPS = (4, 8, 12, 20)
PATIENCE_SECONDS = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A task's ETA and its actual duration, in seconds from its submission."""

    p50: float
    p90: float
    took: float


def run() -> list[str]:
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalStack(StackSettings(data_directory=Path(folder))) as stack,
    ):
        assert stack.page_url is not None
        with Client(stack.page_url) as client:
            client.generate(PROMPTS[0])
            submitted = list(_submitted_in_bursts(client, TASKS_BEFORE + TASKS))[TASKS_BEFORE:]
            cases = [_case(client, task) for task in submitted if task.eta is not None]
    untold = len(submitted) - len(cases)
    by_length = sorted(cases, key=lambda case: case.p50)
    third = len(by_length) // 3
    shortest, longest = by_length[:third], by_length[-third:]
    return [
        f"{len(cases)} tasks were told when they would end, {untold} were not",
        f"all: {_said(cases)} (marks: 50 % ± 10 and at least 85 %)",
        f"the third that was told the shortest times: {_said(shortest)}",
        f"the third that was told the longest times: {_said(longest)}",
        f"p90 over p50: median {percentile([case.p90 / case.p50 for case in cases], 50):.2f}",
        f"seconds until they ended: {spread_of([case.took for case in cases]).said(' s', digits=1)}",
    ]


def _submitted_in_bursts(client: Client, count: int) -> Iterator[Task]:
    """Submit bursts and yield each response. Between bursts, part of the queue or all of it is processed."""
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
    ended = client.wait(task, timeout_seconds=PATIENCE_SECONDS)
    assert ended.status is TaskStatus.COMPLETED
    assert ended.finished_at is not None
    assert task.eta is not None
    assert task.eta.p50_seconds is not None
    assert task.eta.p90_seconds is not None
    took = (ended.finished_at - ended.created_at).total_seconds()
    return Case(p50=task.eta.p50_seconds, p90=task.eta.p90_seconds, took=took)


def _said(cases: Sequence[Case]) -> str:
    before_p50 = sum(case.took <= case.p50 for case in cases) / len(cases)
    before_p90 = sum(case.took <= case.p90 for case in cases) / len(cases)
    return f"{before_p50:.0%} ended before p50, {before_p90:.0%} before p90"


if __name__ == "__main__":
    print("\n".join(run()))

"""Shared code for benchmarks of the whole system: start it warm, generate all prompts, submit at a steady rate."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.prompts import PROMPTS
from common.domain.task import TaskStatus
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.system_client import SystemClient


@contextmanager
def warm_system(environment: Mapping[str, str]) -> Iterator[tuple[LocalStack, SystemClient]]:
    """Start a separate stack and a client, and generate all prompts once."""
    with tempfile.TemporaryDirectory() as folder:
        settings = StackSettings(data_directory=Path(folder), extra_environment=environment)
        with LocalStack(settings) as stack:
            assert stack.page_url is not None
            with SystemClient(stack.page_url, stack.environment) as client:
                # A warm-up round: a JVM compiles code only after it has run for a while.
                all_drawn(client)
                yield stack, client


def all_drawn(client: SystemClient) -> float:
    """Submit all prompts at once and return the seconds from the first submission to the last image."""
    began = time.perf_counter()
    ids = [client.submit(prompt, seed=seed) for seed, prompt in enumerate(PROMPTS)]
    ended = client.wait_for_all(ids)
    seconds = time.perf_counter() - began
    assert all(task.status is TaskStatus.COMPLETED for task in ended.values())
    return seconds


def steady_submissions(client: SystemClient, *, count: int, per_second: float) -> list[float]:
    """Submit at a steady rate and return the milliseconds of each submission."""
    milliseconds: list[float] = []
    due = time.perf_counter()
    for number in range(count):
        due += 1 / per_second
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        client.submit(PROMPTS[number % len(PROMPTS)], seed=number)
        milliseconds.append((time.perf_counter() - began) * 1_000)
    return milliseconds

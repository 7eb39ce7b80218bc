"""Shared code for benchmarks of the whole system."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measurement import milliseconds
from benchmarks.prompts import PROMPTS
from common.domain.task import TaskStatus
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.system_client import SystemClient


@contextmanager
def running_system(**settings: Any) -> Iterator[tuple[LocalStack, SystemClient]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalStack(StackSettings(data_directory=Path(folder), **settings)) as stack,
        SystemClient(str(stack.page_url), stack.environment) as client,
    ):
        yield stack, client


@contextmanager
def warm_system(environment: Mapping[str, str]) -> Iterator[tuple[LocalStack, SystemClient]]:
    """Start a separate stack and a client, and generate all prompts once."""
    with running_system(extra_environment=environment) as (stack, client):
        generate_all(client)  # a JVM compiles code only after it has run for a while
        yield stack, client


def api_process(stack: LocalStack) -> psutil.Process:
    """Return gunicorn's worker process."""
    (worker,) = psutil.Process(stack.process("api").pid).children()
    return worker


def engine_of(stack: LocalStack) -> psutil.Process:
    """Return the engine process of the first GPU worker."""
    (engine,) = (
        child
        for child in psutil.Process(stack.process("worker-0").pid).children()
        if any("spawn_main" in word for word in child.cmdline())
    )
    return engine


def generate_all(client: SystemClient) -> float:
    """Submit all prompts at once; return the seconds until the last image."""
    started = time.perf_counter()
    ids = [client.submit(prompt, seed=seed) for seed, prompt in enumerate(PROMPTS)]
    tasks = client.wait_for_all(ids)
    seconds = time.perf_counter() - started
    assert all(task.status is TaskStatus.COMPLETED for task in tasks.values())
    return seconds


def submit(client: SystemClient, number: int) -> None:
    client.submit(PROMPTS[number % len(PROMPTS)], seed=number)


def steady_submissions(client: SystemClient, *, count: int, per_second: float) -> list[float]:
    """Submit at a steady rate and return the milliseconds of each submission."""
    durations: list[float] = []
    due = time.perf_counter()
    for number in range(count):
        due += 1 / per_second
        time.sleep(max(0.0, due - time.perf_counter()))
        durations.append(milliseconds(lambda: submit(client, number)))  # noqa: B023 - called at once
    return durations

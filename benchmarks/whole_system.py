"""What several benchmarks do with a whole system: start it warm, have all prompts drawn, submit at a steady rate."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.prompts import PROMPTS
from common.domain.task import TaskStatus
from local_stack.stack import LocalStack
from local_stack.stack_settings import StackSettings
from tests.system_client import SystemClient


@contextmanager
def warm_system(environment: Mapping[str, str]) -> Iterator[tuple[LocalStack, SystemClient]]:
    """A stack of its own, and a client of it, that has drawn once what it will be asked for."""
    with tempfile.TemporaryDirectory() as folder:
        settings = StackSettings(data_directory=Path(folder), extra_environment=environment)
        with LocalStack(settings) as stack:
            assert stack.page_url is not None
            with SystemClient(stack.page_url, stack.environment) as client:
                # A round that does not count: a JVM compiles what it runs only after a while.
                all_drawn(client)
                yield stack, client


def all_drawn(client: SystemClient) -> float:
    """Seconds from the first submission to the last image, of all prompts at once."""
    began = time.perf_counter()
    ids = [client.submit(prompt, seed=seed) for seed, prompt in enumerate(PROMPTS)]
    ended = client.wait_for_all(ids)
    seconds = time.perf_counter() - began
    assert all(task.status is TaskStatus.COMPLETED for task in ended.values())
    return seconds


def steady_submissions(client: SystemClient, *, count: int, per_second: float) -> list[float]:
    """Milliseconds of each, at a steady rate."""
    milliseconds: list[float] = []
    due = time.perf_counter()
    for number in range(count):
        due += 1 / per_second
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        client.submit(PROMPTS[number % len(PROMPTS)], seed=number)
        milliseconds.append((time.perf_counter() - began) * 1_000)
    return milliseconds

"""CPU time of a submission in the API's process, and its latency beyond the necessary round trips.

No worker runs. CPU time is that of gunicorn's worker, user and system. The round trips are a Firestore create and a
Pub/Sub publish by this process, one pair right before each POST and one right after it. The emulators pause now and
then, so two pairs may differ by more than the API's own time: the second pair measures this difference.
"""

import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import psutil

from benchmarks.measurement import percentile, spread_of
from benchmarks.prompts import PROMPTS
from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.adapters.system_clock import SystemClock
from common.domain.models.catalog import DEMO_MODEL
from common.domain.task import Task
from frontend_api.adapters.publisher_client import publisher_client
from frontend_api.adapters.pubsub_task_queue import PubSubTaskQueue
from local_stack.provisioning import ResourceNames
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.system_client import SystemClient

SUBMISSIONS = 2_000
ROUNDS = 4
WARM_UP = 100
BATCHES = 5
BATCH = 100


def run() -> list[str]:
    with ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory()))
        names = ResourceNames()
        stack = exits.enter_context(LocalStack(StackSettings(data_directory=folder, names=names, workers=0)))
        assert stack.page_url is not None
        client = exits.enter_context(SystemClient(stack.page_url, stack.environment))
        (worker,) = psutil.Process(stack.process("api").pid).children()
        by_hand = _round_trips(stack, names)
        for number in range(WARM_UP):
            client.submit(PROMPTS[0], seed=number)
            by_hand(number)
        costs = [_cost(worker, client, SUBMISSIONS // ROUNDS) for _ in range(ROUNDS)]
        times = [_times(client, by_hand, number) for number in range(SUBMISSIONS)]
        batches = [_batch_cost(worker, client) for _ in range(BATCHES)]
    return [
        f"processor time of the API for a submission: {spread_of(costs).said(' ms')}, {SUBMISSIONS} submissions",
        *_added(times),
        f"processor time for each of {BATCH} in a batch: {spread_of([cost for cost, _ in batches]).said(' ms')}",
        f"a batch of {BATCH}, sent and answered: {spread_of([took for _, took in batches]).said(' ms', 0)}",
    ]


def _cost(worker: psutil.Process, client: SystemClient, submissions: int) -> float:
    """Return the CPU milliseconds per submission."""
    before = _processor_ms(worker)
    for number in range(submissions):
        client.submit(PROMPTS[number % len(PROMPTS)], seed=number)
    return (_processor_ms(worker) - before) / submissions


def _times(client: SystemClient, by_hand: Callable[[int], None], number: int) -> tuple[float, float, float]:
    """Return the milliseconds of the round trips, of a POST, and of the round trips again."""
    moments = [time.perf_counter()]
    for work in (
        lambda: by_hand(number),
        lambda: client.submit(PROMPTS[number % len(PROMPTS)], seed=number),
        lambda: by_hand(number),
    ):
        work()
        moments.append(time.perf_counter())
    before, post, after = ((end - begin) * 1_000 for begin, end in pairwise(moments))
    return before, post, after


def _added(times: Sequence[tuple[float, float, float]]) -> list[str]:
    before, posts, after = zip(*times, strict=True)
    trips = [*before, *after]
    more = [post - trip for trip, post, _ in times]
    noise = [again - trip for trip, _, again in times]
    return [
        (
            f"a submission: median {percentile(posts, 50):.1f} ms, p99 {percentile(posts, 99):.1f} ms; its round trips "
            f"by themselves: {percentile(trips, 50):.1f} and {percentile(trips, 99):.1f} ms; "
            f"{len(times)} one after the other"
        ),
        (
            f"each beyond the round trips right before it: median {percentile(more, 50):.1f} ms, p99 "
            f"{percentile(more, 99):.1f} ms; the same round trips again: {percentile(noise, 50):.1f} and "
            f"{percentile(noise, 99):.1f} ms"
        ),
    ]


def _batch_cost(worker: psutil.Process, client: SystemClient) -> tuple[float, float]:
    """Return the CPU milliseconds per item, and the milliseconds until the response."""
    items = [{"prompt": PROMPTS[number % len(PROMPTS)], "seed": number} for number in range(BATCH)]
    before, began = _processor_ms(worker), time.perf_counter()
    answer = client.http.post("/v1/tasks:batch", json={"tasks": items})
    took = (time.perf_counter() - began) * 1_000
    assert answer.json()["accepted"] == BATCH, answer.text
    return (_processor_ms(worker) - before) / BATCH, took


def _round_trips(stack: LocalStack, names: ResourceNames) -> Callable[[int], None]:
    """The necessary round trips of a submission, through the API's adapters."""
    environment, clock = stack.environment, SystemClock()
    store = FirestoreTaskStore(
        firestore_client(names.project_id, emulator_host=environment["FIRESTORE_EMULATOR_HOST"])
    )
    queue = PubSubTaskQueue(
        publisher_client(emulator_host=environment["PUBSUB_EMULATOR_HOST"]),
        project_id=names.project_id,
        topic=names.tasks_topic,
        images_bucket=names.images_bucket,
        timeout_seconds=5,
    )

    def by_hand(number: int) -> None:
        task = Task.submitted(
            task_id=uuid.uuid4().hex,
            user_id="benchmark",
            parameters=DEMO_MODEL.completed({"prompt": PROMPTS[number % len(PROMPTS)]}, seed=number),
            now=clock.now(),
            keep_for=timedelta(days=1),
        )
        store.create(task)
        queue.publish(task)

    return by_hand


def _processor_ms(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system) * 1_000


if __name__ == "__main__":
    print("\n".join(run()))

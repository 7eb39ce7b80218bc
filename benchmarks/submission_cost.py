"""CPU time of a submission in the API's process, and its latency beyond the necessary round trips.

No worker runs. CPU time is that of gunicorn's worker, user and system. The round trips are a
Firestore create and a Pub/Sub publish by this process, one pair right before each POST and one
right after it. The emulators pause sometimes, so two pairs may differ by more than the API's own
time: the second pair measures this difference.
"""

import time
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from itertools import pairwise

import psutil

from benchmarks.measurement import milliseconds, percentile, processor_seconds, spread_of
from benchmarks.prompts import PROMPTS
from benchmarks.whole_system import api_process, running_system, submit
from common.adapters.firestore_client import firestore_client
from common.adapters.firestore_task_store import FirestoreTaskStore
from common.adapters.grpc_channels import publisher_client
from common.adapters.system_clock import SystemClock
from common.domain.models.catalog import DEMO_MODEL
from common.domain.task import Task
from frontend_api.adapters.pubsub_task_queue import PubSubTaskQueue
from local_stack.provisioning import ResourceNames
from local_stack.stack import LocalStack
from tests.system_client import SystemClient

SUBMISSIONS = 2_000
ROUNDS = 4
WARM_UP = 100
BATCHES = 5
BATCH = 100


def run() -> Iterator[str]:
    names = ResourceNames()
    with running_system(names=names, workers=0) as (stack, client):
        api, make_round_trips = api_process(stack), _round_trips(stack, names)
        for number in range(WARM_UP):
            submit(client, number)
            make_round_trips(number)
        costs = [_cost(api, client, SUBMISSIONS // ROUNDS) for _ in range(ROUNDS)]
        times = [_times(client, make_round_trips, number) for number in range(SUBMISSIONS)]
        batches = [_batch_cost(api, client) for _ in range(BATCHES)]
    before, posts, after = zip(*times, strict=True)
    added = [post - trips for trips, post, _ in times]
    noise = [again - trips for trips, _, again in times]
    yield f"CPU time of the API per submission: {spread_of(costs).format(' ms')}, {SUBMISSIONS} submissions"
    yield f"{SUBMISSIONS} sequential submissions: {_median_and_p99(posts)}"
    yield f"their round trips alone: {_median_and_p99([*before, *after])}"
    yield f"each submission minus the round trips before it: {_median_and_p99(added)}"
    yield f"the round trips after it minus those before it: {_median_and_p99(noise)}"
    yield f"CPU time per task in a batch of {BATCH}: {spread_of([cost for cost, _ in batches]).format(' ms')}"
    yield f"duration of a batch of {BATCH}: {spread_of([took for _, took in batches]).format(' ms', 0)}"


def _cost(api: psutil.Process, client: SystemClient, submissions: int) -> float:
    """Return the CPU milliseconds per submission."""
    before = processor_seconds(api)
    for number in range(submissions):
        submit(client, number)
    return (processor_seconds(api) - before) * 1_000 / submissions


def _times(
    client: SystemClient, make_round_trips: Callable[[int], None], number: int
) -> tuple[float, float, float]:
    """Return the milliseconds of the round trips, of a POST, and of the round trips again."""
    moments = [time.perf_counter()]
    for work in (make_round_trips, lambda number: submit(client, number), make_round_trips):
        work(number)
        moments.append(time.perf_counter())
    before, post, after = ((end - begin) * 1_000 for begin, end in pairwise(moments))
    return before, post, after


def _median_and_p99(durations: list[float] | tuple[float, ...]) -> str:
    return f"median {percentile(durations, 50):.1f} ms, p99 {percentile(durations, 99):.1f} ms"


def _batch_cost(api: psutil.Process, client: SystemClient) -> tuple[float, float]:
    """Return the CPU milliseconds per item, and the milliseconds until the response."""
    items = [{"prompt": PROMPTS[number % len(PROMPTS)], "seed": number} for number in range(BATCH)]

    def submit_batch() -> None:
        response = client.http.post("/v1/tasks:batch", json={"tasks": items})
        assert response.json()["accepted"] == BATCH, response.text

    before = processor_seconds(api)
    took = milliseconds(submit_batch)
    return (processor_seconds(api) - before) * 1_000 / BATCH, took


def _round_trips(stack: LocalStack, names: ResourceNames) -> Callable[[int], None]:
    """Return a function that makes a submission's round trips, through the API's adapters."""
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

    def make_round_trips(number: int) -> None:
        task = Task.submitted(
            task_id=uuid.uuid4().hex,
            user_id="benchmark",
            parameters=DEMO_MODEL.completed({"prompt": PROMPTS[number % len(PROMPTS)]}, seed=number),
            now=clock.now(),
            keep_for=timedelta(days=1),
        )
        store.create(task)
        queue.publish(task)

    return make_round_trips

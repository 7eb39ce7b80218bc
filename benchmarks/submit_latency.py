"""Latency of a POST while the worker is busy: the response must not wait for any image."""

from collections.abc import Iterator

from benchmarks.measurement import percentiles
from benchmarks.prompts import PROMPTS
from benchmarks.whole_system import running_system, steady_submissions

SUBMISSIONS = 200
SUBMISSIONS_PER_SECOND = 10


def run() -> Iterator[str]:
    with running_system() as (_, client):
        client.completed(PROMPTS[0])
        durations = steady_submissions(client, count=SUBMISSIONS, per_second=SUBMISSIONS_PER_SECOND)
    yield (
        f"POST /v1/tasks with a busy worker, {SUBMISSIONS} requests, {SUBMISSIONS_PER_SECOND} per second: "
        f"{percentiles(durations)}"
    )

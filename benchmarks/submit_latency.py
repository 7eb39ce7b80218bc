"""Latency of a POST while the worker is busy: the response must not wait for any image."""

import tempfile
from pathlib import Path

from benchmarks.measurement import percentile
from benchmarks.prompts import PROMPTS
from benchmarks.whole_system import steady_submissions
from local_stack.settings import StackSettings
from local_stack.stack import LocalStack
from tests.system_client import SystemClient

SUBMISSIONS = 200
SUBMISSIONS_PER_SECOND = 10


def run() -> list[str]:
    """Submit at a steady rate with the worker busy throughout, and return the report's lines."""
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalStack(StackSettings(data_directory=Path(folder))) as stack,
    ):
        assert stack.page_url is not None
        with SystemClient(stack.page_url, stack.environment) as client:
            client.completed(PROMPTS[0])
            milliseconds = steady_submissions(client, count=SUBMISSIONS, per_second=SUBMISSIONS_PER_SECOND)
    return [
        (
            f"POST /v1/tasks with the worker drawing, {SUBMISSIONS} at {SUBMISSIONS_PER_SECOND} a second: "
            f"median {percentile(milliseconds, 50):.1f} ms, p90 {percentile(milliseconds, 90):.1f} ms, "
            f"p99 {percentile(milliseconds, 99):.1f} ms"
        )
    ]


if __name__ == "__main__":
    print("\n".join(run()))

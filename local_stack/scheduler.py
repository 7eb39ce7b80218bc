"""Call the API's scheduled endpoints periodically, as Cloud Scheduler does:

    python -m local_stack.scheduler --api http://127.0.0.1:8080 --interval 10

DARKROOM_INTERNAL_TOKEN is the bearer token that the API expects. A result is logged only when it
differs from the previous one. `--queue-lost-at` is the time at which the queue was created empty:
the API publishes tasks that were enqueued earlier again.
"""

import argparse
import os
import threading
from collections.abc import Mapping

import structlog

from common.shutdown_signals import on_shutdown_signals
from local_stack.loopback import send

logger = structlog.get_logger(__name__)
ENDPOINTS = ("rescue", "retry-webhooks", "remove-expired", "record-history")
_LONGEST_SECONDS = 120
"""A run of retries takes a minute if receivers do not respond."""


def call(url: str, token: str, content: Mapping[str, str]) -> str:
    """Send one POST. Return the status as text, or the network error."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        answer = send(url, method="POST", content=content, headers=headers, timeout_seconds=_LONGEST_SECONDS)
    except OSError as error:
        return f"no response: {getattr(error, 'reason', error)}"
    return str(answer.status)


def call_repeatedly(
    url: str, token: str, content: Mapping[str, str], *, interval_seconds: float, stopping: threading.Event
) -> None:
    """Call the endpoint until `stopping` is set, with this pause between two calls."""
    last = ""
    while True:
        result = call(url, token, content)
        if result != last:
            logger.info("scheduler_result_changed", endpoint=url.rpartition("/")[2], result=result)
            last = result
        if stopping.wait(interval_seconds):
            return


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_stack.scheduler")
    parser.add_argument("--api", required=True, metavar="URL")
    parser.add_argument("--interval", type=float, default=10, metavar="SECONDS")
    parser.add_argument("--queue-lost-at", metavar="RFC3339", help="when the queue was created empty")
    arguments = parser.parse_args()
    stopping = threading.Event()
    on_shutdown_signals(stopping.set)
    token = os.environ.get("DARKROOM_INTERNAL_TOKEN", "")
    lost = {} if arguments.queue_lost_at is None else {"queue_lost_at": arguments.queue_lost_at}
    for endpoint in ENDPOINTS:
        # A thread each: a run of retries can last, and must not delay a rescue. Daemons, because a call
        # in progress must not delay the end of this program.
        threading.Thread(
            target=call_repeatedly,
            args=(f"{arguments.api}/internal/{endpoint}", token, lost if endpoint == "rescue" else {}),
            kwargs={"interval_seconds": arguments.interval, "stopping": stopping},
            daemon=True,
        ).start()
    stopping.wait()


if __name__ == "__main__":
    main()

"""Asks the API for a rescue again and again, and to remove what has expired, as Cloud Scheduler does in the cloud:

    python -m local_stack.scheduler --api http://127.0.0.1:8080 --interval 10

DARKROOM_INTERNAL_TOKEN is the bearer token that the API expects. Only changes of the answers are logged. With
`--queue-lost-at` every tick says since when the queue is a new, empty one: tasks enqueued before are published again.
"""

import argparse
import json
import os
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping

import structlog

from common.shutdown_signals import on_shutdown_signals
from local_stack.loopback import open_loopback

logger = structlog.get_logger(__name__)


def tick(api: str, token: str, *, queue_lost_at: str | None = None) -> dict[str, str]:
    """Send one POST to each endpoint. Return the result of each."""
    return {
        "rescue": _posted(f"{api}/rescue", token, {"queue_lost_at": queue_lost_at} if queue_lost_at else {}),
        "remove_expired": _posted(f"{api}/remove-expired", token, {}),
    }


def _posted(url: str, token: str, body: Mapping[str, str]) -> str:
    """Return the status as text, or the reason why there was none.

    Does not raise on network errors.
    """
    request = urllib.request.Request(  # noqa: S310 - the stack's own address
        url,
        method="POST",
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
    )
    try:
        with open_loopback(request, timeout_seconds=30) as response:
            return str(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return str(error.code)
    except OSError as error:
        return f"no answer: {getattr(error, 'reason', error)}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_stack.scheduler", description=__doc__)
    parser.add_argument("--api", required=True, metavar="URL")
    parser.add_argument("--interval", type=float, default=10, metavar="SECONDS")
    parser.add_argument("--queue-lost-at", metavar="RFC3339", help="when the queue began anew, empty")
    arguments = parser.parse_args()
    stopping = threading.Event()
    on_shutdown_signals(stopping.set)
    token = os.environ.get("DARKROOM_INTERNAL_TOKEN", "")
    last: dict[str, str] = {}
    while True:
        answers = tick(f"{arguments.api}/internal", token, queue_lost_at=arguments.queue_lost_at)
        if answers != last:
            logger.info("rescue_answers_changed", **answers)
            last = answers
        if stopping.wait(arguments.interval):
            return


if __name__ == "__main__":
    main()

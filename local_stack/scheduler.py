"""Call the API's rescue, removal of expired tasks and history periodically, as Cloud Scheduler does:

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


def tick(api: str, token: str, *, queue_lost_at: str | None = None) -> dict[str, str]:
    """Send one POST to each endpoint. Return the result of each."""
    return {
        "rescue": _post(f"{api}/rescue", token, {"queue_lost_at": queue_lost_at} if queue_lost_at else {}),
        "remove_expired": _post(f"{api}/remove-expired", token, {}),
        "record_history": _post(f"{api}/record-history", token, {}),
    }


def _post(url: str, token: str, content: Mapping[str, str]) -> str:
    """Return the status as text, or the network error."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        return str(send(url, method="POST", content=content, headers=headers, timeout_seconds=30).status)
    except OSError as error:
        return f"no response: {getattr(error, 'reason', error)}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m local_stack.scheduler")
    parser.add_argument("--api", required=True, metavar="URL")
    parser.add_argument("--interval", type=float, default=10, metavar="SECONDS")
    parser.add_argument("--queue-lost-at", metavar="RFC3339", help="when the queue was created empty")
    arguments = parser.parse_args()
    stopping = threading.Event()
    on_shutdown_signals(stopping.set)
    token = os.environ.get("DARKROOM_INTERNAL_TOKEN", "")
    last: dict[str, str] = {}
    while True:
        results = tick(f"{arguments.api}/internal", token, queue_lost_at=arguments.queue_lost_at)
        if results != last:
            logger.info("scheduler_results_changed", **results)
            last = results
        if stopping.wait(arguments.interval):
            return


if __name__ == "__main__":
    main()

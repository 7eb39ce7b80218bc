"""The number of live workers per model, as the API reports it, for a terminal."""

import json
import urllib.request
from collections.abc import Iterator, Mapping

from local_stack.free_ports import LOOPBACK
from local_stack.loopback import open_loopback

_TIMEOUT_SECONDS = 5.0


def workers_by_model(api_port: int | None) -> dict[str, int | None]:
    """Return the number of live workers per model, None where the API cannot determine it; empty
    while the API does not answer.
    """
    if api_port is None:
        return {}
    request = urllib.request.Request(f"http://{LOOPBACK}:{api_port}/v1/models")
    try:
        with open_loopback(request, timeout_seconds=_TIMEOUT_SECONDS) as response:
            return {model["name"]: model["workers"] for model in json.load(response)["models"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def model_lines(workers: Mapping[str, int | None]) -> Iterator[str]:
    """Yield a line per model, with an explanation for models without a worker."""
    for model, count in workers.items():
        if count is None:
            yield f"model {model}: the number of its workers is not known yet"
        elif count == 0:
            yield f"model {model}: no live worker serves it, its tasks wait"
        else:
            yield f"model {model}: {count} worker{'s' if count > 1 else ''}"

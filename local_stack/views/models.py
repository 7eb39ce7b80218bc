"""The number of live workers per model, as the API reports it, for a terminal."""

import json
from collections.abc import Iterator, Mapping

from local_stack.loopback import LOOPBACK, send

_TIMEOUT_SECONDS = 5.0


def fetch_workers_by_model(api_port: int | None) -> dict[str, int | None]:
    """Return the live workers per model (None: unknown); empty without a response."""
    if api_port is None:
        return {}
    try:
        response = send(f"http://{LOOPBACK}:{api_port}/v1/models", timeout_seconds=_TIMEOUT_SECONDS)
        return {model["name"]: model["workers"] for model in json.loads(response.body)["models"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def format_models(workers: Mapping[str, int | None]) -> Iterator[str]:
    for model, count in workers.items():
        if count is None:
            yield f"model {model}: number of workers unknown"
        elif count == 0:
            yield f"model {model}: 0 workers; its tasks wait"
        else:
            yield f"model {model}: {count} worker{'s' if count > 1 else ''}"

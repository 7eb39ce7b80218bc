"""The model states in a worker's `/readyz`: whether the worker has started, and which models it
cannot load.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from local_stack.loopback import LOOPBACK, send
from local_stack.processes.probes import Probe, responds_ok

_TIMEOUT_SECONDS = 2.0
_LONGEST_REASON = 400


def has_started(health_port: int) -> Probe:
    """Ready when the worker is ready, or runs but cannot load any of its models.

    Such a worker retries by itself, so the stack neither waits for it nor stops because of it.
    """
    is_ready = responds_ok(_url(health_port))

    def probe(pid: int) -> str | None:
        reason = is_ready(pid)
        return None if reason is None or _loads_nothing(health_port) else reason

    return probe


def broken_models(health_port: int) -> dict[str, str]:
    """Return the reason for each model that the worker could not load."""
    return {broken["model"]: broken["reason"] for broken in _engine(health_port).get("broken", ())}


def broken_notices(worker: str, broken: Mapping[str, str]) -> Iterator[str]:
    """Yield a message for the user per model that the worker could not load."""
    for model, reason in broken.items():
        excerpt = " ".join(reason.split())[:_LONGEST_REASON]
        yield f"{worker} cannot load the model {model}, so its tasks wait or fail; it retries. Reason: {excerpt}"


def _loads_nothing(health_port: int) -> bool:
    engine = _engine(health_port)
    broken = {entry["model"] for entry in engine.get("broken", ())}
    return bool(broken) and broken.issuperset(engine["models"])


def _engine(health_port: int) -> Mapping[str, Any]:
    """Return what the worker reports of its engine; empty before the engine's first report."""
    try:
        report = json.loads(send(_url(health_port), timeout_seconds=_TIMEOUT_SECONDS).body)
    except (OSError, ValueError):  # ValueError: the response is not a worker's
        return {}
    return report.get("engine") or {}


def _url(health_port: int) -> str:
    return f"http://{LOOPBACK}:{health_port}/readyz"

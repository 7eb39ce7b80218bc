"""The project's own programs as processes of the stack: the API, the workers, the rescue tick."""

import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from local_stack import worker_health
from local_stack.free_ports import LOOPBACK
from local_stack.processes.child_process import ProcessSpec
from local_stack.processes.probes import all_of, answers_ok, listens_itself

_PROJECT = Path(__file__).resolve().parents[1]


def api(*, port: int, environment: Mapping[str, str]) -> ProcessSpec:
    """The API under gunicorn, with its production configuration."""
    return ProcessSpec(
        name="api",
        argv=(
            *(sys.executable, "-m", "gunicorn", "--config", "frontend_api/gunicorn_conf.py"),
            "frontend_api.wsgi:build_app()",
        ),
        environment={**environment, "PORT": str(port)},
        why_not_ready=all_of(answers_ok(f"http://{LOOPBACK}:{port}/readyz"), listens_itself(port)),
        stop_within_seconds=15,
        working_directory=_PROJECT,
        restarts=True,
    )


def worker(*, number: int, health_port: int, environment: Mapping[str, str]) -> ProcessSpec:
    """One worker: the Pub/Sub process and the engine process that it starts."""
    return ProcessSpec(
        name=f"worker-{number}",
        argv=(sys.executable, "-m", "gpu_subscriber"),
        environment={**environment, "DARKROOM_HEALTH_PORT": str(health_port)},
        why_not_ready=worker_health.runs(health_port),
        ready_within_seconds=300,  # importing torch reads gigabytes from a slow disk; the engine has low CPU priority
        stop_within_seconds=40,  # longer than the worker's own drain
        working_directory=_PROJECT,
        restarts=True,
    )


def rescue_tick(
    *, api_port: int, interval_seconds: float, queue_began_at: datetime, environment: Mapping[str, str]
) -> ProcessSpec:
    """Replaces Cloud Scheduler. Reports also that the local queue starts empty each time."""
    api = f"http://{LOOPBACK}:{api_port}"
    return ProcessSpec(
        name="rescue-tick",
        argv=(
            *(sys.executable, "-m", "local_stack.scheduler"),
            *("--api", api, "--interval", f"{interval_seconds:g}"),
            *("--queue-lost-at", queue_began_at.isoformat()),
        ),
        environment=environment,
        stop_within_seconds=5,
        working_directory=_PROJECT,
        restarts=True,
    )

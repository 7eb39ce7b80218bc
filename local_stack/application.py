"""The project's own programs as processes of the stack.

Imports only light modules, because the supervisor loads it.
"""

import sys
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from pathlib import Path

from local_stack import worker_health
from local_stack.loopback import LOOPBACK
from local_stack.processes.child_process import ProcessSpec
from local_stack.processes.probes import all_of, listens_on, responds_ok

_python_process = partial(ProcessSpec, working_directory=Path(__file__).resolve().parents[1], restarts=True)


def api(*, port: int, environment: Mapping[str, str]) -> ProcessSpec:
    """The API under gunicorn, with its production configuration."""
    return _python_process(
        name="api",
        argv=_module(
            "gunicorn", "--config", "frontend_api/gunicorn_conf.py", "frontend_api.wsgi:build_app()"
        ),
        environment={**environment, "PORT": str(port)},
        why_not_ready=all_of(responds_ok(f"http://{LOOPBACK}:{port}/readyz"), listens_on(port)),
        stop_within_seconds=15,
    )


def worker(
    *, number: int, health_port: int, environment: Mapping[str, str], module: str = "gpu_subscriber"
) -> ProcessSpec:
    """One worker: the Pub/Sub process and the engine process that it starts."""
    return _python_process(
        name=f"worker-{number}",
        argv=_module(module),
        environment={
            **environment,
            "DARKROOM_HEALTH_HOST": LOOPBACK,
            "DARKROOM_HEALTH_PORT": str(health_port),
        },
        why_not_ready=worker_health.has_started(health_port),
        ready_within_seconds=300,  # importing torch reads gigabytes from a slow disk; the engine has low CPU priority
        stop_within_seconds=40,  # longer than the worker's own drain
    )


def scheduler(
    *, api_port: int, interval_seconds: float, queue_created_at: datetime, environment: Mapping[str, str]
) -> ProcessSpec:
    """Replaces Cloud Scheduler. Reports also that the local queue starts empty each time."""
    return _python_process(
        name="scheduler",
        argv=_module(
            *("local_stack.scheduler", "--api", f"http://{LOOPBACK}:{api_port}"),
            *("--interval", f"{interval_seconds:g}", "--queue-lost-at", queue_created_at.isoformat()),
        ),
        environment=environment,
        stop_within_seconds=5,
    )


def bucket_server(*, port: int, directory: Path) -> ProcessSpec:
    """Clients receive its address as STORAGE_EMULATOR_HOST."""
    return _python_process(
        name="bucket-server",
        argv=_module(
            *("gunicorn", "--bind", f"{LOOPBACK}:{port}"),
            # Threads, so that idle connections of browsers do not block; one process, because its
            # lock guards preconditions.
            *("--workers", "1", "--worker-class", "gthread", "--threads", "32"),
            *("--graceful-timeout", "1", "--timeout", "0", "--log-level", "warning"),
            "--no-control-socket",  # not used
            "local_stack.bucket_server.app:build_app()",
        ),
        environment={"BUCKET_DIRECTORY": str(directory)},
        why_not_ready=responds_ok(f"http://{LOOPBACK}:{port}/"),
        stop_within_seconds=6,
    )


def pubsub_proxy(
    *, port: int, emulator: str, push_port: int | None, api_port: int | None, token: str
) -> ProcessSpec:
    """Clients receive the proxy's address as PUBSUB_EMULATOR_HOST.

    With `push_port`, it forwards the emulator's pushes to the API, with the token.
    """
    pushes = () if push_port is None else ("--listen-pushes", str(push_port), "--api", str(api_port))
    ports = (port,) if push_port is None else (port, push_port)
    return _python_process(
        name="pubsub-proxy",
        argv=_module("local_stack.pubsub_proxy", "--listen", str(port), "--emulator", emulator, *pushes),
        environment={"DARKROOM_INTERNAL_TOKEN": token},
        why_not_ready=all_of(*map(listens_on, ports)),
        stop_within_seconds=5,
    )


def firestore_proxy(
    *, port: int, browser_port: int, emulator: str, project_id: str, exports: Path, journal: Path
) -> ProcessSpec:
    """Programs use `port` (FIRESTORE_EMULATOR_HOST); pages use `browser_port`."""
    return _python_process(
        name="firestore-proxy",
        argv=_module(
            *("local_stack.firestore_proxy", "--listen", str(port), "--listen-browsers", str(browser_port)),
            *("--emulator", emulator, "--project", project_id),
            *("--exports", str(exports), "--journal", str(journal)),
        ),
        why_not_ready=all_of(responds_ok(f"http://{LOOPBACK}:{browser_port}/readyz"), listens_on(port)),
        stop_within_seconds=5,
    )


def _module(*arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-m", *arguments)

"""The bucket server as a process of the stack.

Imports only light modules, because the supervisor loads it.
"""

import sys
from pathlib import Path

from local_stack.free_ports import LOOPBACK
from local_stack.processes.child_process import ProcessSpec
from local_stack.processes.probes import answers_ok

_PROJECT = Path(__file__).resolve().parents[2]


def bucket_server(*, port: int, directory: Path) -> ProcessSpec:
    """Clients receive its address as STORAGE_EMULATOR_HOST."""
    return ProcessSpec(
        name="bucket-server",
        argv=(
            *(sys.executable, "-m", "gunicorn", "--bind", f"{LOOPBACK}:{port}"),
            # Threads, so that idle connections of browsers do not block; one process, because its
            # lock guards preconditions.
            *("--workers", "1", "--worker-class", "gthread", "--threads", "32"),
            *("--graceful-timeout", "1", "--timeout", "0", "--log-level", "warning"),
            "--no-control-socket",  # not used
            "local_stack.bucket_server.wsgi:build_app()",
        ),
        environment={"BUCKET_DIRECTORY": str(directory)},
        why_not_ready=answers_ok(f"http://{LOOPBACK}:{port}/"),
        stop_within_seconds=6,
        working_directory=_PROJECT,
        restarts=True,
    )

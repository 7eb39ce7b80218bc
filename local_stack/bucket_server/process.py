"""The bucket server as a process of the stack. Imports nothing heavy: the supervisor loads it."""

import sys
from pathlib import Path

from local_stack.free_ports import LOOPBACK
from local_stack.probes import answers_ok
from local_stack.processes import ProcessSpec

_PROJECT = Path(__file__).resolve().parents[2]


def bucket_server(*, port: int, directory: Path) -> ProcessSpec:
    """Clients get its address as STORAGE_EMULATOR_HOST."""
    return ProcessSpec(
        name="bucket-server",
        argv=(
            *(sys.executable, "-m", "gunicorn", "--bind", f"{LOOPBACK}:{port}"),
            # Threads, so that a browser's idle connections block nobody; one process, for it decides conditions.
            *("--workers", "1", "--worker-class", "gthread", "--threads", "32"),
            *("--graceful-timeout", "1", "--timeout", "0", "--log-level", "warning"),
            "--no-control-socket",  # nobody sends this one commands
            "local_stack.bucket_server.wsgi:build_app()",
        ),
        environment={"BUCKET_DIRECTORY": str(directory)},
        why_not_ready=answers_ok(f"http://{LOOPBACK}:{port}/"),
        stop_within_seconds=6,
        working_directory=_PROJECT,
        restarts=True,
    )

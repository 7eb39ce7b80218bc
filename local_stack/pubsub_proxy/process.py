"""The proxy as a process of the stack. Imports only light modules, because the supervisor loads it."""

import sys
from pathlib import Path

from local_stack.processes.child_process import ProcessSpec
from local_stack.processes.probes import listens_itself

_PROJECT = Path(__file__).resolve().parents[2]


def pubsub_proxy(*, port: int, emulator_port: int) -> ProcessSpec:
    """Clients receive the proxy's address as PUBSUB_EMULATOR_HOST."""
    return ProcessSpec(
        name="pubsub-proxy",
        argv=(
            *(sys.executable, "-m", "local_stack.pubsub_proxy"),
            *("--listen", str(port), "--emulator", str(emulator_port)),
        ),
        why_not_ready=listens_itself(port),
        stop_within_seconds=5,
        working_directory=_PROJECT,
        restarts=True,
    )

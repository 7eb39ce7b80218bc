"""The proxy as a process of the stack.

Imports nothing heavy, because the supervisor loads this module.
"""

import sys
from pathlib import Path

from local_stack.free_ports import LOOPBACK
from local_stack.processes.child_process import ProcessSpec
from local_stack.processes.probes import all_of, answers_ok, listens_itself

_PROJECT = Path(__file__).resolve().parents[2]
READY_PATH = "/readyz"


def firestore_proxy(*, port: int, browser_port: int, emulator_port: int, journal: Path) -> ProcessSpec:
    """Return the proxy's spec.

    Programs use `port` (FIRESTORE_EMULATOR_HOST); pages use `browser_port`.
    """
    return ProcessSpec(
        name="firestore-proxy",
        argv=(
            *(sys.executable, "-m", "local_stack.firestore_proxy"),
            *("--listen", str(port), "--listen-browsers", str(browser_port)),
            *("--emulator", str(emulator_port), "--journal", str(journal)),
        ),
        why_not_ready=all_of(
            answers_ok(f"http://{LOOPBACK}:{browser_port}{READY_PATH}"), listens_itself(port)
        ),
        stop_within_seconds=5,
        working_directory=_PROJECT,
        restarts=True,
    )

"""gunicorn's configuration from the environment and the system's limits."""

import os
import subprocess
import sys
from pathlib import Path

CONFIGURATION = Path(__file__).parents[3] / "frontend_api" / "gunicorn_conf.py"
REPORT = """
import resource, runpy, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 4_096))
configuration = runpy.run_path(sys.argv[1])
configuration["on_starting"](None)
print(configuration["threads"], configuration["worker_connections"], *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def configured(**environment: str) -> list[int]:
    """Return threads, connections, and the limits on open files."""
    argv = [sys.executable, "-c", REPORT, str(CONFIGURATION)]
    ran = subprocess.run(argv, env={**os.environ, **environment}, capture_output=True, text=True, check=True)
    return [int(word) for word in ran.stdout.split()]


def test_waiting_callers_have_threads_of_their_own() -> None:
    threads, connections, *_ = configured(DARKROOM_API_THREADS="10", DARKROOM_MAX_WAITING="40")
    assert threads == 10 + 40
    assert connections > threads


def test_file_limit_is_raised_up_to_the_systems_maximum() -> None:
    *_, few, most = configured(DARKROOM_API_THREADS="10", DARKROOM_MAX_WAITING="40")
    assert (few, most) == (10 + 40 + 1_000 + 2 * 40 + 256, 4_096)
    *_, all_there_are, _ = configured(DARKROOM_MAX_WAITING="10000")
    assert all_there_are == 4_096
